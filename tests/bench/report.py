"""Statistics of runs, and the tables that are made of them."""
import statistics

import goals

MULTICAST_PEERS = ('udpcast', 'uftp', 'uftp-gcm')
# Of a full frame, as the shaper counts it (14 bytes of Ethernet, 28 of IP and UDP): what UDP carries in it, and how much
# of the file is in castpoint's (64 bytes of NORM and its authentication, 1408 of content).
UDP_SHARE, CONTENT_SHARE = 1472 / 1514, 1408 / 1514
RATES = {'kbit': 1e3, 'mbit': 1e6, 'gbit': 1e9}
MIB = 1 << 20


def rate_bps(text):
    """1gbit -> 1e9; none -> None."""
    for unit, factor in RATES.items():
        if text.endswith(unit):
            return float(text[:-len(unit)]) * factor
    return None


class Spread:
    """Median, least and greatest of what was measured; empty when there is nothing."""

    def __init__(self, values):
        self.values = sorted(v for v in values if v is not None)

    def __bool__(self):
        return bool(self.values)

    @property
    def median(self):
        return statistics.median(self.values)

    def text(self, form='{:.0f}'):
        if not self.values:
            return '–'
        low, high = form.format(self.values[0]), form.format(self.values[-1])
        middle = form.format(self.median)
        return middle if low == high else f'{middle} ({low}–{high})'


class Cell:
    """All runs of one tool in one case."""

    def __init__(self, records):
        self.records = records
        self.good = [r for r in records if r['verdict'] == 'ok']

    def spread(self, field):
        return Spread(r[field] for r in self.good)

    def goodput(self):
        return self.spread('goodput_mbps')

    def right(self):
        return f"{sum(r['right'] for r in self.records)}/{sum(r['receivers'] for r in self.records)}"

    def verdict(self):
        """Empty when all was well; else what went wrong, and how often."""
        counts = {}
        for r in self.records:
            if r['verdict'] != 'ok':
                counts[r['verdict']] = counts.get(r['verdict'], 0) + 1
        return ', '.join(f'{what} {n} of {len(self.records)}' for what, n in sorted(counts.items()))

    def note(self):
        words = [self.verdict()] + sorted({r['setting'] for r in self.records if r['setting']})
        noisy = sum(r['seconds'] is not None and r['cpu_other'] > 0.1 * r['seconds'] for r in self.records)
        words += [f'{noisy} noisy'] if noisy else []
        for field, text in (('queue_drops', 'uplink'), ('socket_drops', 'sockets')):
            lost = self.spread(field)
            words += [f'{text} dropped {lost.text()}'] if lost and lost.values[-1] > 0 else []
        return '; '.join(w for w in words if w)


def of_kind(records, kind):
    return [r for r in records if r['kind'] == kind]


def cells_of(records):
    """{(rate, offload, size): {(receivers, loss): {tool: Cell}}}, in the order of first appearance."""
    pages = {}
    for r in of_kind(records, 'run'):
        page = pages.setdefault((r['rate'], r['offload'], r['size']), {})
        page.setdefault((r['receivers'], r['loss']), {}).setdefault(r['tool'], []).append(r)
    return {page: {case: {tool: Cell(v) for tool, v in tools.items()} for case, tools in sorted(cases.items())}
            for page, cases in pages.items()}


def size_text(size):
    return f'{size / MIB:g} MiB'


def page_title(page):
    rate, offload, size = page
    uplink = "no shaping" if rate == 'none' else f'uplink shaped to {rate}'
    return f'{size_text(size)}, {uplink}, offload {offload}'


def table(head, rows):
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    return '\n'.join(lines + ['| ' + ' | '.join(map(str, row)) + ' |' for row in rows]) + '\n'


def row_of(case, tool, cell):
    return [case[0], f'{case[1]:g}', tool, len(cell.records), cell.goodput().text(),
            cell.spread('seconds').text('{:.3f}'), cell.spread('wire_ratio').text('{:.3f}'),
            cell.spread('cpu_sender_per_gib').text('{:.2f}'), cell.spread('cpu_receiver_per_gib').text('{:.2f}'),
            cell.spread('cpu_machine_per_gib').text('{:.1f}'), cell.right(), cell.note()]


def run_tables(records):
    head = ['N', 'loss %', 'tool', 'runs', 'Mbit/s per receiver', 'seconds', 'sent / size', 'CPU s/GiB sender', 'receiver',
            'machine', 'right', 'note']
    out = []
    for page, cases in cells_of(records).items():
        rows = [row_of(case, tool, cell) for case, tools in cases.items() for tool, cell in tools.items()]
        out.append(f'### {page_title(page)}\n\n' + table(head, rows))
    return out


def ratio(a, b):
    return a.median / b.median if a and b else None


def number(value, form='{:.2f}'):
    return '–' if value is None else form.format(value)


def best_of(tools, names):
    """The highest median among these tools, and whose; None when none of them finished."""
    found = [(cell.goodput().median, name) for name, cell in tools.items() if name in names and cell.goodput()]
    return max(found, default=None)


def metrics_of(rate, tools):
    """castpoint's figures as ratios; None where one of the two is missing."""
    mine = tools['castpoint']
    peers = [cell for name, cell in tools.items() if name in MULTICAST_PEERS]
    goodput = mine.goodput().median if mine.goodput() else None

    def over(value):
        return goodput / value if goodput and value else None

    def cpu(field):
        least = min((c.spread(field).median for c in peers if c.spread(field)), default=None)
        return mine.spread(field).median / least if least and mine.spread(field) else None

    bps = rate_bps(rate)
    return {'link': over(bps and bps * CONTENT_SHARE / 1e6), 'udp': over(bps and bps * UDP_SHARE / 1e6),
            'peer': over((best_of(tools, MULTICAST_PEERS) or (None,))[0]), 'https': over((best_of(tools, ('https',)) or (None,))[0]),
            'cpu_sender': cpu('cpu_sender_per_gib'), 'cpu_receiver': cpu('cpu_receiver_per_gib')}


def against_row(page, case, tools):
    metrics, peer = metrics_of(page[0], tools), best_of(tools, MULTICAST_PEERS)
    texts = {k: number(v, '{:.3f}' if k in ('link', 'udp') else '{:.2f}') for k, v in metrics.items()}
    return [page_title(page), case[0], f'{case[1]:g}', tools['castpoint'].goodput().text(), texts['link'], texts['udp'],
            peer[1] if peer else '–', texts['peer'], texts['https'], texts['cpu_sender'], texts['cpu_receiver'],
            tools['castpoint'].right(), goals.judge(page[0] != 'none', page[1], *case, metrics)]


def against_table(records):
    """castpoint beside the best of the others, case by case; empty when there is nothing to compare."""
    head = ['case', 'N', 'loss %', 'castpoint Mbit/s', 'of what the link allows', 'of its bare UDP', 'best multicast peer', '× it',
            '× HTTPS', 'sender CPU / best peer', 'receiver CPU / best peer', 'right', 'goals']
    rows = [against_row(page, case, tools) for page, cases in cells_of(records).items()
            for case, tools in cases.items() if 'castpoint' in tools and len(tools) > 1]
    return ['### castpoint beside the others\n\n' + table(head, rows)] if rows else []


def grouped(records, *fields):
    out = {}
    for r in records:
        out.setdefault(tuple(r[f] for f in fields), []).append(r)
    return out


def small_table(records):
    """A small package: time instead of goodput."""
    rows = []
    for key, v in grouped(of_kind(records, 'small'), 'size', 'receivers', 'loss', 'tool').items():
        cell = Cell(v)
        rows.append([size_text(key[0]), key[1], f'{key[2]:g}', key[3], len(v), cell.spread('seconds').text('{:.3f}'), cell.right(),
                     cell.note()])
    head = ['size', 'N', 'loss %', 'tool', 'runs', 'seconds to the last receiver', 'right', 'note']
    return ['### A small package\n\n' + table(head, rows)] if rows else []


def raw_table(records):
    rows = [[offload, n, Spread(r['slowest_mbps'] for r in v).text(), Spread(r['median_mbps'] for r in v).text(),
             Spread(100 * r['lost'] for r in v).text('{:.1f}'), Spread(r['cpu_receiver_per_gib'] for r in v).text('{:.2f}')]
            for (offload, n), v in sorted(grouped(of_kind(records, 'raw'), 'offload', 'receivers').items())]
    head = ['offload', 'N', 'slowest receiver Mbit/s', 'median receiver', 'lost %', 'CPU s/GiB receiver']
    title = '### Bare UDP_SEGMENT multicast and drained recvmmsg\n\n'
    return [title + table(head, rows)] if rows else []


def growth_table(records):
    """castpoint unshaped beside the raw limit of the same machine."""
    raw = grouped(of_kind(records, 'raw'), 'offload', 'receivers')
    rows = []
    for key, v in sorted(grouped(of_kind(records, 'growth'), 'offload', 'receivers').items()):
        limit, cell = Spread(r['slowest_mbps'] for r in raw.get(key, [])), Cell(v)
        rows.append([*key, size_text(v[0]['size']), cell.goodput().text(), limit.text(), number(ratio(cell.goodput(), limit)),
                     cell.spread('wire_ratio').text('{:.3f}'), cell.spread('cpu_sender_per_gib').text('{:.2f}'),
                     cell.spread('cpu_receiver_per_gib').text('{:.2f}'), cell.right(), cell.note()])
    head = ['offload', 'N', 'file', 'castpoint Mbit/s', 'raw Mbit/s', 'castpoint / raw', 'sent / size', 'CPU s/GiB sender', 'receiver',
            'right', 'note']
    return ['### Growth: castpoint unshaped beside the raw limit\n\n' + table(head, rows)] if rows else []


def memory_table(records):
    rows = [[r['role'], f"{r['size'] / 1e9:g} GB", f"{r['loss']:g}", f"{r['moved'] / 1e6:.0f} MB in {r['seconds']:.0f} s",
             f"{r['anonymous'] / MIB:.1f}", f"{r['shared'] / MIB:.1f}", f"{r['peak'] / MIB:.1f}",
             'yes' if r['peak_own'] < r['limit'] else 'NO'] for r in of_kind(records, 'memory')]
    head = ['program', 'object', 'loss %', 'moved meanwhile', 'anonymous MiB, peak', 'files mapped (page cache) MiB', 'resident MiB, peak',
            'own memory under 64 MiB']
    return ['### Memory\n\n' + table(head, rows)] if rows else []


def profile_text(records):
    out = []
    for r in of_kind(records, 'profile'):
        title = f"### Profile of {r['tool']}: N = {r['receivers']}, loss {r['loss']:g} %, {page_title((r['rate'], r['offload'], r['size']))}"
        speed = f"{r['goodput_mbps']:.0f} Mbit/s" if r['goodput_mbps'] else r['verdict']
        out.append(f"{title}\n\n{speed}. Samples of all CPUs, by program and by function:\n\n"
                   f"```\n{r['programs']}\n\n{r['symbols']}\n```\n")
    return out


def host_text(records):
    lines = []
    for r in of_kind(records, 'host'):
        limits = ', '.join(f'{k} {v}' for k, v in r['limits'].items())
        versions = ', '.join(f'{k} {v}' for k, v in r['versions'].items())
        words = [f"{r['when']}, castpoint {r['commit']}, {r['cpus']} × {r['cpu']}, Linux {r['kernel']}, TCP {r['tcp']}", limits, versions,
                 f"files in {r['folder']}"]
        lines.append('; '.join(w for w in words if w) + '\n')
    return lines


LEGEND = '''Mbit/s: file bits over the time from just before the first packet until the last receiver has (and, castpoint,
has verified) everything; median (least–greatest) of the runs that ended well. sent: bytes that left the server's interface.
CPU: of the processes, the median receiver's; on veth the sender is charged for the switch's work too, so the whole machine's
busy time stands beside it. right: SHA-256 of the outputs, receivers over all runs. noisy: others used more than a tenth of
a core meanwhile. dropped: packets that the full queue of the shaped uplink or full receive buffers lost. What the link
allows: the content of full packets of castpoint's, one after the other.
'''


def markdown(records):
    failures = [f"**{r['what']} failed**: {r['why']}\n" for r in of_kind(records, 'failure')]
    parts = host_text(records) + failures + against_table(records) + run_tables(records) + small_table(records) + growth_table(records) + raw_table(records)
    parts += memory_table(records) + profile_text(records)
    return '\n'.join(parts + ([LEGEND] if any('verdict' in r for r in records) else []))
