#!/bin/bash
# A small network laboratory in namespaces, for the quickstart and the tests:
#
#   PREFIX-srv  198.18.N.1 --+
#                            |  bridge in namespace PREFIX-sw (IGMP snooping and querier)
#   PREFIX-r1   198.18.N.11 -+
#   PREFIX-r2   198.18.N.12 -+ …                    (PREFIX-host on the host: 198.18.N.254, with --host)
#
# Nothing leaves the machine. 198.18.0.0/15 is the range for benchmarks (RFC 2544).
#
#   netlab.sh PREFIX up COUNT [--net N] [--host] [--snooping on|off]   make it (a former one is removed)
#   netlab.sh PREFIX down                            remove everything of this prefix
#   netlab.sh PREFIX exec srv|sw|rI COMMAND…         run a command in one of the namespaces
#   netlab.sh PREFIX loss srv|rI PERCENT [tcp]       drop so many of the UDP packets (and TCP's) that arrive there
#   netlab.sh PREFIX cut rI                          rI hears no multicast any more (unicast works)
#   netlab.sh PREFIX unicast-bytes rI                bytes of all other frames that reached rI since the cut
#   netlab.sh PREFIX rate RATE|none                  shape the server's uplink (tbf), e.g. 1gbit
#   netlab.sh PREFIX offload on|off|gro              segmentation offload of all links (on: faster;
#                                                    off: every frame on the wire is a real packet;
#                                                    gro: the same, and receivers' interfaces put together
#                                                    what arrives together, as network cards do)
#   netlab.sh PREFIX tx-bytes                        bytes that left the server's interface so far
#   netlab.sh PREFIX drops                           packets that the server's queue and all sockets dropped so far
#   netlab.sh PREFIX permitted                       exit 0 when such a laboratory can be made here
set -eu

prefix=$1 action=$2
shift 2
[[ $prefix =~ ^[a-z][a-z0-9]{0,5}$ ]] || { echo "netlab: bad prefix '$prefix'" >&2; exit 2; }

spaces() { ip netns list 2>/dev/null | awk '{print $1}' | grep -E "^$prefix-(srv|sw|r[0-9]+)$" || true; }

down() {
  local ns
  ip link del "$prefix-host" 2>/dev/null || true
  for ns in $(spaces); do ip netns del "$ns"; done
}

# port NAMESPACE BRIDGEPORT ADDRESS: a namespace with one link to the bridge
port() {
  ip netns add "$1"
  ip -n "$1" link set lo up
  ip -n "$1" link add eth0 type veth peer name "$2" netns "$prefix-sw"
  ip -n "$prefix-sw" link set "$2" master br0 up
  ip -n "$1" address add "$3/24" brd + dev eth0
  ip -n "$1" link set eth0 up
  ip -n "$1" route add 224.0.0.0/4 dev eth0
}

up() {
  local count=$1 net=77 host=no snooping=on i
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --net) net=$2; shift 2 ;;
      --host) host=yes; shift ;;
      --snooping) snooping=$2; shift 2 ;;
      *) echo "netlab: unknown option '$1'" >&2; exit 2 ;;
    esac
  done
  down
  trap 'down' ERR
  ip netns add "$prefix-sw"
  if [ "$snooping" = on ]; then
    # A new querier counts only after one query response interval (10 s by default): make it short.
    ip -n "$prefix-sw" link add br0 type bridge mcast_snooping 1 mcast_query_response_interval 100 \
      mcast_igmp_version 3 mcast_startup_query_interval 100 mcast_query_interval 3000 \
      mcast_querier_interval 6000 mcast_membership_interval 9000
    ip -n "$prefix-sw" link set br0 type bridge mcast_querier 1
  else
    ip -n "$prefix-sw" link add br0 type bridge mcast_snooping 0
  fi
  ip netns exec "$prefix-sw" sh -c \
    'for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ -e "$f" ] && echo 0 >"$f"; done; true' 2>/dev/null
  ip -n "$prefix-sw" link set br0 up
  port "$prefix-srv" srv "198.18.$net.1"
  for ((i = 1; i <= count; i++)); do port "$prefix-r$i" "r$i" "198.18.$net.$((10 + i))"; done
  if [ "$host" = yes ]; then
    ip link add "$prefix-host" type veth peer name host netns "$prefix-sw"
    ip -n "$prefix-sw" link set host master br0 up
    ip address add "198.18.$net.254/24" dev "$prefix-host"
    ip link set "$prefix-host" up
  fi
  trap - ERR
}

namespace() { case $1 in srv | sw | r[0-9]*) echo "$prefix-$1" ;; *) echo "netlab: no host '$1'" >&2; exit 2 ;; esac; }

case $action in
  up) up "$@" ;;
  down) down ;;
  permitted)
    ip netns add "$prefix-try" 2>/dev/null || exit 1
    status=0
    { ip -n "$prefix-try" link add br0 type bridge && ip -n "$prefix-try" link add eth0 type veth peer name eth1 &&
      ip netns exec "$prefix-try" nft add table netdev try; } >/dev/null 2>&1 || status=1
    ip netns del "$prefix-try"
    exit "$status" ;;
  exec)
    ns=$(namespace "$1"); shift
    exec ip netns exec "$ns" "$@" ;;
  loss)
    ns=$(namespace "$1")
    share=$(awk -v p="$2" 'BEGIN { printf "%d", p * 1000 + 0.5 }')
    protocols=udp
    [ "${3:-}" != tcp ] || protocols='{ udp, tcp }'
    ip netns exec "$ns" nft delete table netdev loss 2>/dev/null || true
    [ "$share" -eq 0 ] || ip netns exec "$ns" nft -f - <<RULES
table netdev loss {
  chain in { type filter hook ingress device eth0 priority 0;
    meta protocol ip ip protocol $protocols numgen random mod 100000 < $share drop
  }
}
RULES
    ;;
  cut)
    ip netns exec "$(namespace "$1")" nft -f - <<'RULES'
table netdev cut
delete table netdev cut
table netdev cut {
  counter unicast { }
  chain in { type filter hook ingress device eth0 priority 1;
    meta protocol ip ip daddr 224.0.0.0/4 drop
    counter name unicast
  }
}
RULES
    ;;
  unicast-bytes) # the hook counts without the 14 bytes of the Ethernet header
    ip netns exec "$(namespace "$1")" nft list counter netdev cut unicast |
      awk '/packets/ { print $4 + 14 * $2 }' ;;
  rate)
    if [ "$1" = none ]; then
      ip netns exec "$prefix-srv" tc qdisc del dev eth0 root 2>/dev/null || true
    else
      ip netns exec "$prefix-srv" tc qdisc replace dev eth0 root tbf rate "$1" burst 65536 limit 1000000
    fi ;;
  offload)
    # A veth merges (GRO) only what comes from a peer without TSO.
    case $1 in
      on | off) segment=$1 merge=off from_switch=on ;;
      gro) segment=off merge=on from_switch=off ;;
      *) echo "netlab: offload is on, off or gro, not '$1'" >&2; exit 2 ;;
    esac
    for ns in $(spaces); do
      [ "$ns" = "$prefix-sw" ] && continue
      ip netns exec "$ns" ethtool -K eth0 tso "$segment" gso "$segment" tx-udp-segmentation "$segment" >/dev/null 2>&1 || true
      [ "$ns" = "$prefix-srv" ] && continue
      ip netns exec "$ns" ethtool -K eth0 gro "$merge" >/dev/null 2>&1 || true
      ip netns exec "$prefix-sw" ethtool -K "${ns#"$prefix"-}" tso "$from_switch" >/dev/null 2>&1 || true
    done ;;
  tx-bytes)
    ip netns exec "$prefix-srv" cat /sys/class/net/eth0/statistics/tx_bytes ;;
  drops)
    ip netns exec "$prefix-srv" tc -s qdisc show dev eth0 |
      awk '/dropped/ { gsub(",", "", $7); n += $7 } END { print "queue " n + 0 }'
    for ns in $(spaces); do
      [ "$ns" = "$prefix-sw" ] || ip netns exec "$ns" awk '/^Udp: [0-9]/ { print $6 }' /proc/net/snmp
    done | awk '{ n += $1 } END { print "sockets " n + 0 }' ;;
  *)
    sed -n '2,/^set -eu/p' "$0" | sed '$d;s/^# \{0,1\}//' >&2
    exit 2 ;;
esac
