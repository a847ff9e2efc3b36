"""The hub: tells everyone whom to trust and carries sealed questions.

The pipeline of a question is: authenticate → authorise → route → forward →
account. The hub is blind: it forwards bytes it cannot open.
"""
