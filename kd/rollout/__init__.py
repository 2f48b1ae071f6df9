"""How a student answers while it learns: by its own ``generate``, or by vLLM with its weights.

Knows no training: the student and what is asked come in. Only selection and train stand above.
"""
