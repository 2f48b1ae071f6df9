"""What a teacher says about each token: live rows, stored rows, answers.

Imports losses; train and commands stand above.
"""
