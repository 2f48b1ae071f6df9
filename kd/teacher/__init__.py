"""What a teacher says about each token: live rows, stored rows, answers.

Imports losses and vocabulary; train and study stand above.
"""
