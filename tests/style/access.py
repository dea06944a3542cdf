#!/usr/bin/env python3
"""Who may have content is decided in one place (api/access/access.c): nothing else looks at the words of the setting, and
exactly the doors to content ask. Usage: access.py ROOT"""
import re
import sys

import tree

# Where the setting is read, shown or stored; a rule over it stands in the first only, and as SQL in the second.
MAY_NAME = {
    'api/access/access.c': 'decides',
    'db/access.c': 'finds receivers that the decision would refuse now',
    'api/session/join.c': 'a package that is not there is guarded by the distribution point\'s setting',
    'api/content/content.c': 'content that no version has is guarded by the same',
    'api/content/deliver.c': 'a version that is not there is guarded by its package\'s setting, or the same',
    'api/point/settings.c': 'reads and shows the setting, and sees that it changes',
    'api/content/packages.c': 'the same of a package',
    'api/point/configuration_items.c': 'sees that an import changes it',
    'db/names.c': 'the words',
}
DOORS = {'api/session/join.c', 'api/content/content.c', 'api/content/deliver.c'}
NAMES = re.compile(r'\bDB_ACCESS_\w+')
COMPARES = re.compile(r'\bcontent_access\s*[!=]=')
COMMENT = re.compile(r'/\*.*?\*/', re.S)


def check_file(path, text, complaints):
    """Complaints about one file; returns whether it asks for the decision."""
    text = COMMENT.sub(' ', text)
    for rule in (NAMES, COMPARES):
        if rule.search(text) and path not in MAY_NAME:
            complaints.append(f'{path}: {rule.search(text).group(0)}: ask api_access_decide()')
    return 'api_access_decide(' in text and path != 'api/access/access.c'


def main():
    root, complaints = sys.argv[1], []
    paths = tree.files(root, ['.c'], {'api', 'db', 'jobs', 'keys', 'server'})
    doors = {path for path in paths if check_file(path, tree.read(root, path), complaints)}
    for path in sorted(doors ^ DOORS):
        complaints.append(f'{path}: {"asks" if path in doors else "does not ask"} api_access_decide()')
    tree.finish('access', len(paths), complaints)


if __name__ == '__main__':
    main()
