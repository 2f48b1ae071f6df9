"""Reading what is compared: run folders, anchors, foreign logs, seeds.

Imports statistics only; compare, gate and site stand above.
"""
