# shellcheck shell=bash
# The steps of ./quickstart; sourced by it. Uses its variables and helpers.

# Takes the state folder: a new one, an empty one, or one of an earlier run, so that nothing else is ever harmed.
claim_state() {
  [ ! -e "$state" ] || ours || [ -z "$(ls -A "$state" 2>&1)" ] ||
    fail "$state holds other things: choose a new folder with --state"
  mkdir -p "$state"
  chmod 755 "$state"
  install -d -m 700 "$state/secrets"
  install -d -m 755 "$state/run"
}

ours() { [ -d "$state/secrets" ] && [ -d "$state/run" ]; }

install_packages() {
  local wanted=(build-essential cmake ninja-build pkg-config libmicrohttpd-dev libgnutls28-dev
    libjansson-dev libssl-dev libpq-dev libcurl4-openssl-dev libkrb5-dev libisal-dev postgresql wimtools
    python3-yaml iproute2 nftables ethtool curl jq ca-certificates)
  local missing=() p
  for p in "${wanted[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "this is not a Debian system: the packages needed are ${wanted[*]}"
  say "Installing ${missing[*]} (log: $state/install.log)"
  # The first command ends what an interrupted run left half installed.
  (export DEBIAN_FRONTEND=noninteractive
    dpkg --configure -a && apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}") \
    >"$state/install.log" 2>&1 </dev/null || { tail -n 20 "$state/install.log" >&2; fail "apt-get failed; see $state/install.log"; }
  # Ctrl-C makes apt-get stop with status 0, and then bash does not run the trap.
  ! grep -q '^W: Operation was interrupted' "$state/install.log" || interrupted 130
}

prepare_state() {
  if ! as_db test -x "$state"; then
    rmdir "$state/secrets" "$state/run" "$state" 2>/dev/null || true
    fail "the user '$db_user' cannot reach $state: choose another folder with --state"
  fi
  install -d -m 700 -o "$db_user" -g "$db_user" "$state/service"
  install -d -m 755 -o "$db_user" -g "$db_user" "$state/run"
  install -d -m 755 "$state/out"
}

pg_ctl() { (cd / && as_db "$(pgbin)/pg_ctl" -D "$state/db" "$@"); }

build_programs() {
  say "Building (log: $state/build.log)"
  # A folder configured for another clone makes cmake stop.
  grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$here" "$state/build/CMakeCache.txt" || rm -rf "$state/build"
  (cmake -S "$here" -B "$state/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF &&
    cmake --build "$state/build" --target castpointd castget) >"$state/build.log" 2>&1 ||
    { tail -n 30 "$state/build.log" >&2; fail "the build failed; see $state/build.log"; }
  # A clone under /root cannot be read by the service's user.
  cmp -s "$state/build/server/castpointd" "$state/run/castpointd" || stop_service # so that the new one is started
  install -m 755 "$state/build/server/castpointd" "$state/build/client/castget" "$state/run/"
}

# Sets network: namespaces, or loopback where the machine does not permit them.
start_network() {
  if lab permitted 2>/dev/null; then
    network=namespaces server_ip=198.18.77.1 interface=eth0
    if ! ip netns list | grep -q '^cpq-srv\b' || [ "$(ip netns list | grep -c '^cpq-r')" -ne $((receivers + 1)) ]; then
      stop_service
      say "Making $((receivers + 1)) receivers in network namespaces on one bridge"
      lab up $((receivers + 1)) --host
    fi
    lab rate "$rate"
    lab cut "r$((receivers + 1))"
    lab offload off # so that the interface counts frames as a real one would
  else
    network=loopback server_ip=127.0.0.1 interface=lo
    say "Network namespaces are not permitted here: all receivers run on loopback instead"
  fi
  # One that an earlier run started in the other network is not reachable from here.
  [ ! -s "$state/run/address" ] || grep -qF "//$server_ip:" "$state/run/address" || stop_service
}

# place HOST: sets place to the words that run a command there. A program started behind them keeps the
# shell's child process, so that $! is its own.
place() {
  place=()
  [ "$network" = loopback ] || place=("$here/tools/netlab.sh" cpq exec "$1")
}

start_database() {
  [ -n "$(pgbin)" ] || fail "PostgreSQL is not installed"
  if [ ! -s "$state/db/PG_VERSION" ]; then
    say "Making a private PostgreSQL cluster"
    rm -rf "$state/db" "$state/db.part"
    install -d -m 700 -o "$db_user" -g "$db_user" "$state/db.part"
    (cd / && as_db "$(pgbin)/initdb" -D "$state/db.part" -A peer -E UTF8 --locale=C.UTF-8) >"$state/database.log" 2>&1 ||
      { tail -n 20 "$state/database.log" >&2; fail "initdb failed"; }
    cat >>"$state/db.part/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$state/run'
unix_socket_permissions = 0700
CONF
    mv "$state/db.part" "$state/db"
  fi
  # The service's user may also come as the role castpoint, which owns nothing.
  printf 'castpoint %s %s\n' "$db_user" "$db_user" "$db_user" castpoint >"$state/db/pg_ident.conf"
  printf 'local all all peer map=castpoint\n' >"$state/db/pg_hba.conf"
  if pg_ctl status >/dev/null 2>&1; then
    pg_ctl reload >/dev/null
  else
    say "Starting PostgreSQL"
    pg_ctl -w -t 60 -l "$state/run/postgresql.log" start >/dev/null 2>&1 ||
      { tail -n 20 "$state/run/postgresql.log" >&2; fail "PostgreSQL did not start"; }
  fi
  sql "SELECT 1 FROM pg_roles WHERE rolname = 'castpoint'" | grep -q 1 || sql 'CREATE ROLE castpoint LOGIN'
  sql "SELECT 1 FROM pg_database WHERE datname = 'castpoint'" | grep -q 1 || sql 'CREATE DATABASE castpoint'
}

sql() { (cd / && as_db psql -qAt -v ON_ERROR_STOP=1 -h "$state/run" -d postgres -c "$1"); }

api() { # api METHOD PATH [curl arguments]: prints the answer's body, fails on an HTTP error
  local method=$1 path=$2
  shift 2
  curl -sS --fail-with-body --cacert "$state/service/tls/cert.pem" -X "$method" \
    -K "$state/secrets/curl" "$@" "https://$server_ip:8443$path"
}

start_service() {
  local started=$SECONDS
  if ! alive "$state/run/castpointd.pid" castpointd; then
    say "Starting castpointd"
    place srv
    "${place[@]}" setsid setpriv --reuid "$db_user" --regid "$db_user" --clear-groups \
      "$state/run/castpointd" --listen "0.0.0.0:8443" --state-dir "$state/service" \
      --database "host=$state/run user=castpoint dbname=castpoint" \
      --migrate-database "host=$state/run user=$db_user dbname=castpoint" --public-url "https://$server_ip:8443" \
      </dev/null >>"$state/castpointd.log" 2>&1 &
    echo $! >"$state/run/castpointd.pid"
    disown
  fi
  until curl -s --max-time 5 -f -o /dev/null --cacert "$state/service/tls/cert.pem" "https://$server_ip:8443/readyz"; do
    if ! kill -0 "$(cat "$state/run/castpointd.pid")" 2>/dev/null || [ $((SECONDS - started)) -gt 90 ]; then
      tail -n 20 "$state/castpointd.log" >&2
      fail "castpointd did not become ready; its log: $state/castpointd.log"
    fi
    sleep 0.2
  done
  # One machine plays them all: where it is busy, the sender is to wait for the receivers, or they lose
  # packets. Linux shares out processor time by session (sched_autogroup), so each program has its own.
  { echo 5 >"/proc/$(cat "$state/run/castpointd.pid")/autogroup"; } 2>/dev/null || true
  echo "https://$server_ip:8443" >"$state/run/address"
  admin_account
}

# Access for the API calls below: curl reads it from a file, so no secret is in an argument list.
admin_account() {
  [ -s "$state/secrets/admin-password" ] ||
    install -m 600 "$state/service/admin-password" "$state/secrets/admin-password"
  (umask 077 && printf 'user = "admin:%s"\n' "$(cat "$state/secrets/admin-password")" >"$state/secrets/curl")
  [ "$(api GET /api/v1/accounts/admin -o /dev/null -w '%{http_code}' 2>/dev/null)" != 401 ] ||
    fail "the password of the account admin is another one by now: write the present one into" \
      "$state/secrets/admin-password and run it again (or --fresh, which throws everything away)"
}

# A folder tree of this machine, about as large as asked for, captured as a WIM.
make_image() {
  image=$state/image-$size.wim
  [ ! -s "$image" ] || return 0
  say "Capturing an image of about $size MiB from /usr with wimcapture"
  du -xk --max-depth=2 /usr/share /usr/lib /usr/bin 2>/dev/null | sort -k 2 | awk -v want=$((size * 1024)) '
    gsub("/", "/", $2) == 3 && sum + $1 <= want { sum += $1; print $2 }' >"$state/image.tree"
  [ -s "$state/image.tree" ] || echo /usr/share >"$state/image.tree"
  awk '{ printf "\"%s\" \"%s\"\n", $1, $1 }' "$state/image.tree" >"$state/image.list"
  wimcapture --source-list "$state/image.list" "$image.part" castpoint-quickstart --compress=none --unix-data \
    >"$state/image.log" 2>&1 || { tail -n 20 "$state/image.log" >&2; fail "wimcapture failed; see $state/image.log"; }
  mv "$image.part" "$image"
}

publish_image() {
  local base digest
  package=quickstart-$size base=/api/v1/packages/$package
  digest=$(sha256sum "$image" | cut -d ' ' -f 1)
  if api GET "$base/versions/current" -o "$state/run/version.json" 2>/dev/null &&
    api GET "$base/versions/current/files" | jq -e --arg d "$digest" '.items[0].sha256 == $d' >/dev/null; then
    version=$(jq -r .version "$state/run/version.json")
    return 0
  fi
  say "Publishing $(basename "$image") ($(($(stat -c %s "$image") / 1048576)) MiB) through the API"
  api GET "$base" -o /dev/null 2>/dev/null ||
    api POST /api/v1/packages -o /dev/null -H 'Content-Type: application/json' \
      -d "{\"name\": \"$package\", \"description\": \"Image of this machine's /usr\"}"
  # A draft is what an interrupted run left.
  version=$(api GET "$base/versions" | jq -r '[.items[] | select(.state == "draft")][0].version // empty')
  [ -n "$version" ] || version=$(api POST "$base/versions" -H 'Content-Type: application/json' -d '{}' | jq -r .version)
  api PUT "$base/versions/$version/files/usr.wim" -o /dev/null --upload-file "$image"
  await_task "$(api POST "$base/versions/$version/seal" | jq -r .id)"
}

# await_task ID: until it has ended; shows how far it is.
await_task() {
  local task
  while task=$(api GET "/api/v1/tasks/$1"); do
    case $(jq -r .state <<<"$task") in
      done) return 0 ;;
      waiting | running) sleep 0.2 ;;
      *) fail "$(jq -r '"\(.kind) of \(.subject): \(.error.detail)"' <<<"$task")" ;;
    esac
  done
  return 1
}

# The settings that the laboratory needs, with the ETag of what they change.
configure() {
  local settings=/api/v1/distribution-points/local/settings etag
  etag=$(api GET "$settings" -D - -o /dev/null | tr -d '\r' | awk 'tolower($1) == "etag:" { print $2 }')
  api PATCH "$settings" -o /dev/null -H "If-Match: $etag" -H 'Content-Type: application/json' \
    -d "{\"interface\": \"$interface\", \"content_access\": \"anonymous\", \"gathering_delay_ms\": 1500}"
}

# ask_to_end PIDFILE PROGRAM: once; castget takes a second signal for impatience and leaves partial files.
ask_to_end() { if alive "$1" "$2"; then kill "$(cat "$1")" 2>/dev/null || true; fi; }

# await_end PIDFILE PROGRAM: waits until it is gone, and makes it go after half a minute.
await_end() {
  local i
  for ((i = 0; i < 300; i++)); do
    alive "$1" "$2" || { rm -f "$1"; return 0; }
    sleep 0.1
  done
  kill -9 "$(cat "$1")" 2>/dev/null || true
  rm -f "$1"
}

stop_receivers() {
  local f
  for f in "$state"/out/r*/pid; do ask_to_end "$f" castget; done
  for f in "$state"/out/r*/pid; do await_end "$f" castget; done
}

run_receivers() {
  local i total=$((receivers + 1)) extra
  configure
  rm -rf "$state"/out/r*
  last_session=$(newest_session)
  say "$total receivers fetch $package version $version at once: r1 to r$receivers by multicast, r$total cannot hear it"
  bytes_before=$(sent_bytes)
  for ((i = 1; i <= total; i++)); do
    mkdir -p "$state/out/r$i/image"
    extra=()
    [ "$network" = namespaces ] || [ "$i" -le "$receivers" ] || extra=(--no-multicast)
    place "r$i"
    "${place[@]}" setsid "$state/run/castget" "https://$server_ip:8443" "$package@$version" -o "$state/out/r$i/image" \
      --cacert "$state/service/tls/cert.pem" --interface "$interface" --client-id "r$i" --client-name "r$i" \
      --summary "$state/out/r$i/summary.json" \
      "${extra[@]}" </dev/null >"$state/out/r$i/log" 2>&1 &
    echo $! >"$state/out/r$i/pid"
  done
  watch_receivers
  bytes_after=$(sent_bytes)
}

newest_session() { api GET '/api/v1/sessions?limit=1' | jq -r '.items[0].id // empty'; }

sent_bytes() {
  place srv
  "${place[@]}" cat "/sys/class/net/$interface/statistics/tx_bytes"
}

# One line a second: what the service knows of each receiver.
watch_receivers() {
  local i running line session started=$SECONDS
  session=$last_session
  while :; do
    running=0
    for ((i = 1; i <= receivers + 1; i++)); do
      if alive "$state/out/r$i/pid" castget; then running=$((running + 1)); fi
    done
    [ "$session" != "$last_session" ] || session=$(newest_session)
    line=$([ "$session" = "$last_session" ] || api GET "/api/v1/sessions/$session/receivers" 2>/dev/null | jq -r '
      [.items | sort_by(.client_name | ltrimstr("r") | tonumber)[] |
        "\(.client_name) \(if .bytes_total > 0 then (100 * .bytes_done / .bytes_total | floor) else 0 end)%"] | join("  ")')
    if [ -t 1 ]; then printf '\r\033[K    %s' "$line"; else printf '    %s\n' "$line"; fi
    [ "$running" -gt 0 ] || break
    [ $((SECONDS - started)) -lt $((900 + size)) ] || { echo; fail "the transfer did not end in time; logs in $state/out"; }
    sleep 1
  done
  [ ! -t 1 ] || printf '\n'
}

show_result() {
  local i f digest want good=0 how
  want=$(sha256sum "$image" | cut -d ' ' -f 1)
  printf '\n%-8s %-10s %12s %12s %12s %8s %12s  %s\n' receiver how multicast repair https seconds Mbit/s 'SHA-256'
  for ((i = 1; i <= receivers + 1; i++)); do
    f=$state/out/r$i/summary.json
    if [ ! -s "$f" ]; then
      printf '%-8s %s\n' "r$i" "failed: $(tail -n 1 "$state/out/r$i/log")"
      continue
    fi
    digest=$(sha256sum "$state/out/r$i/image/usr.wim" 2>/dev/null | cut -d ' ' -f 1)
    how=$(jq -r 'if .bytes_multicast > 0 then (if .bytes_https > 0 then "both" else "multicast" end) else "HTTPS" end' "$f")
    if [ "$digest" = "$want" ]; then good=$((good + 1)) digest=right; else digest=WRONG; fi
    jq -r --arg r "r$i" --arg how "$how" --arg d "$digest" '[$r, $how, .bytes_multicast, .bytes_repair, .bytes_https,
      (.duration_ms / 1000), (.rate_bps / 1e6 | round), $d] | @tsv' "$f" |
      awk -F '\t' '{ printf "%-8s %-10s %12d %12d %12d %8.1f %12d  %s\n", $1, $2, $3, $4, $5, $6, $7, $8 }'
  done
  show_sent
  printf '\nThe service goes on at https://%s:8443 (from this machine), account admin, password %s\n' \
    "$server_ip" "$(cat "$state/secrets/admin-password")"
  printf 'Its certificate: %s\nEverything lies in %s. Look with ./quickstart status, end it with ./quickstart stop\n' \
    "$state/service/tls/cert.pem" "$state"
  [ "$good" -eq $((receivers + 1)) ] || fail "$good of $((receivers + 1)) receivers have the right content; logs in $state/out"
}

# What left the server's interface, headers included. The HTTPS receiver's frames were counted apart.
show_sent() {
  local all=$((bytes_after - bytes_before)) unicast
  if [ "$network" != namespaces ]; then
    printf '\nOn loopback the interface carries both directions: no figure for what the server sent.\n'
    return 0
  fi
  unicast=$(lab unicast-bytes "r$((receivers + 1))")
  awk -v all="$all" -v unicast="$unicast" -v size="$(stat -c %s "$image")" -v n="$receivers" 'BEGIN {
    printf "\nThe server sent %.1f MB for %d multicast receivers together: %.3f times the image. (HTTPS: %.1f MB for one.)\n",
      (all - unicast) / 1e6, n, (all - unicast) / size, unicast / 1e6 }'
}

stop_service() {
  ask_to_end "$state/run/castpointd.pid" castpointd
  await_end "$state/run/castpointd.pid" castpointd
}

interrupted() { # interrupted STATUS
  trap '' INT TERM HUP
  echo
  stop_all
  exit "$1"
}

stop_all() {
  stop_receivers
  stop_service
  if [ -s "$state/db/PG_VERSION" ] && pg_ctl status >/dev/null 2>&1; then pg_ctl -m fast -w stop >/dev/null; fi
  lab down
  if [ "$fresh" = yes ] && [ -d "$state" ]; then
    ours || fail "$state is not of quickstart's making: not removed"
    rm -rf "$state"
  fi
  echo "quickstart: stopped; $([ -d "$state" ] && echo "its files stay in $state (./quickstart stop --fresh removes them)" || echo "$state is gone")"
}

show_status() {
  local db=stopped service=stopped
  ours || { echo "quickstart: nothing of it in $state"; return 0; }
  [ -s "$state/db/PG_VERSION" ] && pg_ctl status >/dev/null 2>&1 && db=running
  alive "$state/run/castpointd.pid" castpointd && service="running at $(cat "$state/run/address"), process $(cat "$state/run/castpointd.pid")"
  printf 'state folder  %s\ndatabase      %s\ncastpointd    %s\nnamespaces    %s\nimages        %s\n' "$state" "$db" "$service" \
    "$(ip netns list 2>/dev/null | grep -c '^cpq-' || true)" "$(cd "$state" && shopt -s nullglob && echo image-*.wim)"
}
