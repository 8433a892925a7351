"""The long forms of the server's tests: bad input by the thousand, a hundred conversations through kill -9. The tests run short ones."""
