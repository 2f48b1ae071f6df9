"""A fixed part of a data set that says what all of it says: chosen by past runs, with its error measured on them."""
