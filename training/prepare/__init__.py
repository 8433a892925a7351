"""`switchyard data prepare`: raw files of questions and answers become clean splits that do not leak, and a report says what was done."""
