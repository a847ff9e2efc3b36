"""Reference peers: small, sound, and breakable on purpose one fault at a time.

They exist to prove the checks. They share no code with the gateway.
"""
