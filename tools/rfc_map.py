#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rfc_map.py PROJECT [--check]: prints docs/rfc5740-map.md: clause of the RFCs, code, tests.

Code names a clause in a comment, `RFC5740 5.4.1: "…"`; a test says `Checks RFC5740 5.4.1, RFC5401 3.2.4.`
--check instead complains about a map that is out of date, a clause that is used but has no code or no
test, and a tag of a clause that is not listed here."""
import os
import re
import sys

# RFC -> title, clauses of a file-object session (number, title), those that do not apply (number, title, why).
RFCS = {
    '5740': ('NACK-Oriented Reliable Multicast (NORM) Transport Protocol', [
        ('2', 'Architecture Definition'),
        ('4.1', 'NORM Common Message Header and Extensions'),
        ('4.2.1', 'NORM_DATA Message'),
        ('4.2.2', 'NORM_INFO Message'),
        ('4.2.3', 'NORM_CMD Messages'),
        ('4.2.3.1', 'NORM_CMD(FLUSH) Message'),
        ('4.2.3.2', 'NORM_CMD(EOT) Message'),
        ('4.2.3.3', 'NORM_CMD(SQUELCH) Message'),
        ('4.2.3.4', 'NORM_CMD(CC) Message'),
        ('4.2.3.5', 'NORM_CMD(REPAIR_ADV) Message'),
        ('4.2.3.6', 'NORM_CMD(ACK_REQ) Message'),
        ('4.2.3.7', 'NORM_CMD(APPLICATION) Message'),
        ('4.3.1', 'NORM_NACK Message'),
        ('4.3.2', 'NORM_ACK Message'),
        ('4.4.1', 'NORM_REPORT Message'),
        ('5', 'Detailed Protocol Operation'),
        ('5.1', 'Sender Initialization and Transmission'),
        ('5.1.1', 'Object Segmentation Algorithm'),
        ('5.2', 'Receiver Initialization and Reception'),
        ('5.3', 'Receiver NACK Procedure'),
        ('5.4', 'Sender NACK Processing and Response'),
        ('5.4.1', 'Sender Repair State Aggregation'),
        ('5.4.2', 'Sender FEC Repair Transmission Strategy'),
        ('5.4.3', 'Sender NORM_CMD(SQUELCH) Generation'),
        ('5.4.4', 'Sender NORM_CMD(REPAIR_ADV) Generation'),
        ('5.5.1', 'Group Round-Trip Time (GRTT) Collection'),
        ('5.5.2', 'NORM Congestion Control Operation'),
        ('5.5.2.1', 'NORM_CMD(CC) Transmission'),
        ('5.5.2.2', 'NORM_CMD(CC) Feedback Response'),
        ('5.5.2.3', 'Congestion Control Rate Adjustment'),
        ('5.5.3', 'NORM Positive Acknowledgment Procedure'),
        ('5.5.4', 'Group Size Estimate'),
    ], [
        ('1, 3', 'Introduction, conformance statement', 'no rule of their own: sections 4 and 5 say how'),
        ('4.2.1', 'of it, the payload header of NORM_OBJECT_STREAM', 'objects are files'),
        ('6', 'Configurable Elements', 'names for what sections 4 and 5 configure; values: docs/protocol.md'),
        ('7.1', 'Baseline Secure NORM Operation (IPsec)', 'RFC 6584 section 5 in its place, in every packet'),
        ('8.1.2', 'NORM Stream Control Codes', 'objects are files'),
        ('9 – 12', 'Suggested use, changes, references', 'no rules'),
    ]),
    '5401': ('Multicast Negative-Acknowledgment (NACK) Building Blocks', [
        ('3.1', 'Multicast Sender Transmission'),
        ('3.2.1', 'Receiver NACK Process Initiation'),
        ('3.2.2', 'NACK Suppression'),
        ('3.2.3.1', 'NACK and FEC Repair Strategies'),
        ('3.2.3.2', 'NACK Content Format'),
        ('3.2.4', 'Sender NACK Processing and Repair Response'),
        ('3.3', 'Multicast Receiver Join Policies and Procedures'),
        ('3.4', 'Node (Member) Identification'),
        ('3.5', 'Data Content Identification'),
        ('3.6', 'Forward Error Correction (FEC)'),
        ('3.7.1', 'One-to-Many Sender GRTT Measurement'),
        ('3.7.4', 'Sender GRTT Advertisement'),
        ('3.8', 'Group Size Determination/Estimation'),
        ('3.9', 'Congestion Control Operation'),
    ], [
        ('3.7.2', 'One-to-Many Receiver RTT Measurement', 'RFC 5740 5.5.2.1 has the sender measure, and tell each'),
        ('3.7.3', 'Many-to-Many RTT Measurement', 'a session has one sender'),
        ('3.10', 'Intermediate System Assistance', 'optional; no intermediate system takes part'),
    ]),
    '6584': ('Simple Authentication Schemes for ALC and NORM', [
        ('5.1', 'Authentication Header Extension Format'),
        ('5.3.1', 'Signature Processing'),
        ('5.3.2', 'Anti-Replay Processing'),
    ], [
        ('3, 4', 'RSA and elliptic-curve signatures of packets', 'too slow per packet; chunks have signed digests'),
        ('5.2', 'Parameters', 'agreed out of band: docs/protocol.md'),
        ('6', 'Signatures and group MAC combined', 'as 3 and 4'),
    ]),
    '5052': ('Forward Error Correction (FEC) Building Block', [
        ('9.1', 'Block Partitioning Algorithm'),
    ], []),
    '5445': ('Basic Forward Error Correction (FEC) Schemes', [
        ('5.2', 'Small Block Systematic FEC Scheme (129): Formats and Codes'),
    ], []),
    '5510': ('Reed-Solomon Forward Error Correction (FEC) Schemes', [
        ('4.1', 'FEC Encoding ID 2: FEC Payload ID'),
        ('4.2.4.1', 'FEC Encoding ID 2: Using the General EXT_FTI Format'),
        ('5.1', 'FEC Encoding ID 5: FEC Payload ID'),
        ('5.2.4.1', 'FEC Encoding ID 5: Using the General EXT_FTI Format'),
    ], []),
}

TAG = re.compile(r'\bRFC(\d{4}) (\d+(?:\.\d+)*)(?=[:,;.) ]|$)', re.M)
CHECKS = re.compile(r'\bChecks (RFC\d{4} \d+(?:\.\d+)*(?:(?:,|,? and)[\s*#]+(?:RFC\d{4} )?\d+(?:\.\d+)*)*)')
NUMBER = re.compile(r'(?:RFC(\d{4}) )?(\d+(?:\.\d+)*)')


def c_owner(lines, at):
    """The function (or table, macro, type) that line `at` of a C file is in or stands before; '' for none."""
    for i in range(at, -1, -1):  # within a body: its brace stands in the first column, as clang-format puts it
        if lines[i].startswith('}'):
            break
        if lines[i].startswith('{'):
            return c_name(lines, head_of(lines, i))
    end = at
    while end < len(lines) and '*/' not in lines[end]:
        end += 1
    if end == at and '/*' in lines[at] and lines[at].split('/*')[0].strip():  # behind the code on the same line
        return c_name(lines, head_of(lines, at))
    end += 1
    if '/* SPDX' in ''.join(lines[max(0, at - 6):end]) and (end >= len(lines) or not lines[end].strip()
                                                            or lines[end].startswith('#include')):
        return ''
    while end < len(lines) and (not lines[end].strip() or lines[end].lstrip().startswith('/*')):
        end += 1
    return c_name(lines, end)


def head_of(lines, i):
    """The line on which the declaration that contains line i begins."""
    while i > 0 and (lines[i].startswith(('{', ' ', ')')) or not lines[i].strip()):
        i -= 1
    return i


def c_name(lines, i):
    text = ''
    for line in lines[i:i + 8]:
        text += line + ' '
        if re.search(r'[{;=]', line) or line.startswith('#'):
            break
    text = re.sub(r'/\*.*?\*/|/\*.*', '', text)
    for pattern in (r'#define (\w+)', r'^(?:enum|struct) (\w+) \{', r'(\w+)\((?!PRINTF)', r'(\w+)(?:\[.*?\])* =',
                    r'(\w+);'):
        found = re.search(pattern, re.sub(r'CP_MUST_CHECK ', '', text))
        if found:
            return found.group(1)
    return ''


def py_owner(lines, at):
    """The function or class that line `at` of a Python file is in, or that it stands before."""
    indent = len(lines[at]) - len(lines[at].lstrip())
    if lines[at].lstrip().startswith('#'):
        for line in lines[at + 1:]:
            if not line.lstrip().startswith(('#', '@')):
                found = re.match(r'\s*(?:def|class) (\w+)', line)
                if found:
                    return found.group(1)
                break
    for line in reversed(lines[:at + 1]):
        found = re.match(r'(\s*)(?:def|class) (\w+)', line)
        if found and len(found.group(1)) < max(indent, 1):
            return found.group(2)
    return ''


def numbers(text):
    """("5740", "5.3") … of "RFC5740 5.3, 5.4.1 and RFC5401 3.2.2"."""
    rfc, out = None, []
    for found in NUMBER.finditer(text):
        rfc = found.group(1) or rfc
        out.append((rfc, found.group(2)))
    return out


def tags_of(text, python, checks):
    """Yields (rfc, clause), owner for each tag of a file's text."""
    lines = text.split('\n')
    owner = py_owner if python else c_owner
    for found in (CHECKS if checks else TAG).finditer(text):
        at = text.count('\n', 0, found.start())
        for key in numbers(found.group(1) if checks else found.group(0)):
            yield key, owner(lines, at)


def scan(root, folders, checks):
    places = {}
    for folder in folders:
        for path, dirs, files in os.walk(os.path.join(root, folder)):
            dirs.sort()
            for name in sorted(files):
                if not name.endswith(('.c', '.h', '.py')):
                    continue
                full = os.path.join(path, name)
                with open(full, encoding='utf-8') as f:
                    for key, owner in tags_of(f.read(), name.endswith('.py'), checks):
                        place = (os.path.relpath(full, root), owner)
                        places.setdefault(key, [])
                        if place not in places[key]:
                            places[key].append(place)
    return places


def cell(places, folder):
    """`file`: function, function<br>`file`: …, with the folder that they share left out."""
    by_file = {}
    for file, owner in places:
        by_file.setdefault(file.removeprefix(folder), []).append(owner)
    return '<br>'.join(f'`{file}`' + (': ' + ', '.join(o for o in owners if o) if any(owners) else '')
                       for file, owners in by_file.items())


def page(code, tests):
    out = ['# Clauses of the RFCs, code, tests', '',
           'Generated by `tools/rfc_map.py` from the tags `RFC5740 5.3: "…"` at the code and `Checks RFC5740 5.3.` at',
           'the tests; a test compares (`tools/rfc_map.py . >docs/rfc5740-map.md` brings it up to date). Code lies in',
           '`multicast/`, tests in `tests/`.']
    for rfc, (title, used, unused) in RFCS.items():
        out += ['', f'## RFC {rfc}: {title}', '', '| Clause | Code | Tests |', '|---|---|---|']
        out += [f'| {n} {name} | {cell(code.get((rfc, n), []), "multicast/")} '
                f'| {cell(tests.get((rfc, n), []), "tests/")} |' for n, name in used]
        if unused:
            out += ['', 'Not of a file-object session:', '']
            out += [f'- {n} {name}: {why}.' for n, name, why in unused]
    return '\n'.join(out) + '\n'


def complaints(code, tests):
    listed = {(rfc, n) for rfc, (_, used, _) in RFCS.items() for n, _ in used}
    out = []
    for rfc, n in sorted(listed):
        if (rfc, n) not in code:
            out.append(f'RFC{rfc} {n}: no code')
        if (rfc, n) not in tests:
            out.append(f'RFC{rfc} {n}: no test')
    for key, places in sorted(tests.items()):
        out += [f'RFC{key[0]} {key[1]}: the tag in {file} stands at no test' for file, owner in places if not owner]
    for key in sorted((set(code) | set(tests)) - listed):
        where = (code.get(key) or tests.get(key))[0][0]
        out.append(f'RFC{key[0]} {key[1]}: a tag in {where}, but not a clause that tools/rfc_map.py lists')
    return out


def main():
    root = sys.argv[1]
    code = scan(root, ['multicast'], False)
    tests = scan(root, ['tests/unit', 'tests/sim', 'tests/interop', 'tests/integration', 'tests/fuzz'], True)
    text = page(code, tests)
    if sys.argv[2:] != ['--check']:
        sys.stdout.write(text)
        return 0
    found = complaints(code, tests)
    with open(os.path.join(root, 'docs/rfc5740-map.md'), encoding='utf-8') as f:
        if f.read() != text:
            found.append('docs/rfc5740-map.md is out of date: tools/rfc_map.py . >docs/rfc5740-map.md')
    print('\n'.join(found) if found else 'every clause has code and a test')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
