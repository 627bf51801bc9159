#!/bin/sh
# Runs the controller as in its image, where it has fixed paths of its own. The caller has given it a
# mount namespace and a process namespace: nothing here is seen outside, and all of it ends with the
# controller.
#
# image.sh FOLDER FILES NAMESERVER COMMAND...
set -eu
folder=$1 files=$2 nameserver=$3
shift 3

# An /etc of its own, where the controller writes nginx.conf, certificates and password files.
mkdir -p "$folder/etc/ingress-controller/telemetry"
cp /etc/passwd /etc/group /etc/hosts /etc/ld.so.cache "$folder/etc"
cp -r "$files" "$folder/etc/nginx"
# The types of Debian's nginx, which is the one that runs.
cp /etc/nginx/mime.types "$folder/etc/nginx"
# nginx asks this server for the name in `auth-url`.
echo "nameserver $nameserver" >"$folder/etc/resolv.conf"
mount --bind "$folder/etc" /etc

# The logs of this nginx go where those of the image's lead: with the controller's own.
mkdir "$folder/log"
ln -s /dev/stderr "$folder/log/error.log"
ln -s /dev/null "$folder/log/access.log"
mount --bind "$folder/log" /var/log/nginx

# The template's path for the pid file and what nginx keeps on disk.
mkdir -p /tmp/nginx "$folder/tmp"
mount --bind "$folder/tmp" /tmp/nginx

exec "$@"
