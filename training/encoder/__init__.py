"""Fine-tune the text encoder: `data` gathers questions and passages, `tuning` trains, `gate` judges, `job` does it all."""
