"""Where numbers of trainings and studies are shown beside their own files: TensorBoard, Weights & Biases, MLflow.

Knows no training: names and numbers come in. Imports the package alone; nothing goes over the network unless asked.
"""
