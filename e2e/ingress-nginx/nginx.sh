#!/bin/sh
# nginx in the place of that of the controller's image, which has modules built in, and is newer.
#
# The controller calls it with `-c FILE` and more: to serve, to test a file, to reload one.
set -eu
config=$2
shift 2
own=$config.own

# The modules that the image's nginx has built in.
for module in ndk_http_module ngx_http_set_misc_module ngx_http_lua_module ngx_http_headers_more_filter_module; do
  echo "load_module $GATEPOST_NGINX_MODULES/$module.so;"
done >"$own"

# - `stream` is for TCP and UDP, and is the last block: Debian has no Lua for it. The controller writes
#   its list of such Services, which is empty, to port 10247 there, and reads no answer.
# - `http2` is a directive since nginx 1.25.
# - What the image has of Lua and Debian has not, before the controller's own, which requires it.
sed -e '/^stream {/,$d' \
  -e 's/^http {/&\n  server { listen 127.0.0.1:10247; return 200; }/' \
  -e '/^[[:space:]]*http2 on;/d' \
  -e "0,/collectgarbage(\"collect\")/s|collectgarbage(\"collect\")|dofile(\"$GATEPOST_ABSENT_LUA\")|" \
  "$config" >>"$own"

exec "$GATEPOST_NGINX" -c "$own" "$@"
