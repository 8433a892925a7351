"""Fine-tune a chat model on an expert's questions with retrieved passages; here (`tuning`) or at a provider (`hosted`)."""
