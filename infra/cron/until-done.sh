#!/bin/sh
# Run an imagesweep command, and again while it ends with 75: stopped early, and able to go on. Other failures are for somebody to look at.
set -eu
cd /var/lib/imagesweep
set -a
. /etc/imagesweep/imagesweep.env
set +a

# Twenty times at most, a quarter of an hour apart: five hours, and the next night goes on.
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  status=0
  imagesweep "$@" || status=$?
  [ "$status" -eq 75 ] || exit "$status"
  [ "$try" -eq 20 ] || sleep 900
done
exit 75
