"""Which step of a training is kept, where answers choose it: a metric of the student's answers to the dev split.

Knows no training: models and prompts come in. Only train stands above.
"""
