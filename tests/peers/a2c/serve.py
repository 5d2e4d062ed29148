"""acme2certifier's own WSGI application by HTTPS, as one process: its first argument is the port."""

import ssl
import sys
from wsgiref.simple_server import make_server

from acme2certifier.share import acme2certifier_wsgi as a2c

server = make_server(
    "127.0.0.1", int(sys.argv[1]), a2c.application, handler_class=a2c.get_handler_cls()
)
# Else it would tell clients URLs of http://.
server.base_environ["HTTPS"] = "on"
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("tls.pem", "tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
