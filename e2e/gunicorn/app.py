# Shows the path that its server has read.
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1")]


# The same, after it has taken the prefix of a proxy away, as many applications in Flask do.
def behind_prefix(environ, start_response):
    prefix, path = environ.get("HTTP_X_FORWARDED_PREFIX", ""), environ["PATH_INFO"]
    if prefix and path.startswith(prefix):
        environ["PATH_INFO"] = path[len(prefix):]
    return application(environ, start_response)


# Shows the scheme that its server has read.
def scheme(environ, start_response):
    environ["PATH_INFO"] = environ["wsgi.url_scheme"]
    return application(environ, start_response)
