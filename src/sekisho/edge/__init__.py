"""The TLS edge: listens, shakes hands, and hands on whatever certificate the visitor showed.

It knows nothing of banks and rules: who may enter is decided behind it.

    server    the sites on one event loop, each behind its door
    door      accepts one site's connections, so many and no more
    context   the TLS of one site
    openssl   what Python's ssl module cannot say; self_check tries it out
    protocol  HTTP/1.1 on one connection, with the client's certificate
    choice    whose next handshake is refused, so that a browser forgets
"""
