"""Who makes a request over HTTP: this server's own tokens, or those of an identity provider."""
