"""A throw-away authority with a server's and a client's certificate, by the openssl command."""

import pathlib
import ssl
import subprocess


class Certificates:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self._make("ca", ["-x509", "-days", "2", "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
                   "/CN=test authority")
        self._issue("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self._issue("other", "subjectAltName=DNS:other.example")
        self._issue("client", "extendedKeyUsage=clientAuth")
        self._make("stranger", ["-x509", "-days", "2"], "/CN=somebody else")

    def path(self, name):
        return str(self.folder / name)

    def listener(self, mutual=False):
        """Lines of Mosquitto's configuration."""
        return ("listener {port} 127.0.0.1\nallow_anonymous true\n"
                f"cafile {self.path('ca.crt')}\ncertfile {self.path('server.crt')}\n"
                f"keyfile {self.path('server.key')}\n"
                f"require_certificate {'true' if mutual else 'false'}\n")

    def context(self, client=False):
        """For the test's own connections."""
        context = ssl.create_default_context(cafile=self.path("ca.crt"))
        if client:
            context.load_cert_chain(self.path("client.crt"), self.path("client.key"))
        return context

    def _run(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.folder)

    def _make(self, name, extra, subject):
        self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", subject, *extra)

    def _issue(self, name, extension):
        self._make(name, [], f"/CN={name}")
        (self.folder / f"{name}.ext").write_text(extension)
        self._run("x509", "-req", "-in", f"{name}.crt", "-CA", "ca.crt", "-CAkey", "ca.key",
                  "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt")
