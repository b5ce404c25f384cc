"""The TLS edge: listens, shakes hands, and hands on whatever certificate the visitor showed.

It knows nothing of banks and rules: who may enter is decided behind it.
"""
