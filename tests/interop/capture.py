#!/usr/bin/env python3
"""Writes every UDP packet that passes an interface to a pcap file until SIGTERM. Usage: capture.py INTERFACE FILE
dumpcap delivers in blocks of a second and loses the last one when it is told to end; this does not. Prints "ack NODE"
when a receiver has acknowledged a FLUSH for the first time."""
import signal
import socket
import struct
import sys
import time

ETH_P_ALL, ETH_P_IP, UDP = 3, 0x0800, 17
SO_RCVBUFFORCE = 33
NORM, ACK, ACK_FLUSH = 42, 5, 2  # where the message begins (Ethernet, IPv4, UDP), its type, its ack_type


class Stopped(Exception):
    pass


def stop(*_):
    raise Stopped


def keep(out, frame):
    if len(frame) > 34 and struct.unpack_from('!H', frame, 12)[0] == ETH_P_IP and frame[23] == UDP:
        now = time.time_ns()
        out.write(struct.pack('=IIII', now // 10**9, now % 10**9 // 1000, len(frame), len(frame)) + frame)


def note_ack(frame, seen):
    if len(frame) >= NORM + 24 and frame[NORM] & 0x0f == ACK and frame[NORM + 14] == ACK_FLUSH:
        node = struct.unpack_from('!I', frame, NORM + 4)[0]
        if node not in seen:
            seen.add(node)
            print('ack', node, flush=True)


def main():
    seen = set()
    interface, path = sys.argv[1:3]
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
    tap.bind((interface, 0))
    with open(path, 'wb') as out:
        out.write(struct.pack('=IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        signal.signal(signal.SIGTERM, stop)
        print('ready', flush=True)
        try:
            while True:
                frame = tap.recv(65535)
                keep(out, frame)
                note_ack(frame, seen)
        except Stopped:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        tap.setblocking(False)
        try:
            while True:  # what was queued when the signal came
                keep(out, tap.recv(65535))
        except BlockingIOError:
            print('done', flush=True)


if __name__ == '__main__':
    main()
