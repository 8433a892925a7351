"""Data sets made by asking models: instructions x models x evaluations, and labels of prompts."""
