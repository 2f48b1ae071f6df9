"""How the things of a reference stand to one another, and whether an answer turns that round."""
