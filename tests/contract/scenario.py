"""What an operator, a room and automation do in a day: every operation of the API once, in an order that works."""
import base64
import hashlib

NO_UUID = '00000000-0000-4000-8000-000000000000'
DATA = b'one transmission, every byte verified\n'
DIGEST = hashlib.sha256(DATA).hexdigest()
# Required headers of a request that is refused anyway.
HEADERS = {'If-Match': '"x"', 'Tus-Resumable': '1.0.0', 'Upload-Length': '1', 'Upload-Offset': '0', 'Upload-Metadata': 'path YQ=='}
# Parameters of addresses that are refused anyway.
NOWHERE = {'package': 'contract', 'version': 1, 'path': 'a.bin', 'sha256': DIGEST, 'dp': 'local', 'kind': 'multicast', 'account': 'lab',
           'token': NO_UUID, 'certificate': NO_UUID, 'upload': NO_UUID, 'session': NO_UUID, 'task': NO_UUID, 'join': NO_UUID, 'webhook': NO_UUID}
IMAGE = {'package': 'contract'}
DP = {'dp': 'local'}
TUS = {'Tus-Resumable': '1.0.0'}
PIECE = {'Content-Type': 'application/offset+octet-stream', **TUS}
BYTES = {'Content-Type': 'application/octet-stream'}


def etag(answer):
    return {'If-Match': answer[0]['ETag']}


def play(walk):
    for part in (service, settings, packages, files, uploads, sealing, promotion, accounts, joins, library, keys, configuration, webhooks, records, clean_up):
        walk.part(part)


def service(walk):
    for name in ('getHealth', 'getReadiness', 'getService', 'getOpenapi', 'getDocs'):
        walk.do(name)


def settings(walk):
    walk.do('listDistributionPoints')
    walk.do('getDistributionPoint', **DP)
    before = walk.do('getSettings', **DP)
    walk.do('updateSettings', body={'content_access': 'anonymous', 'interface': 'lo', 'library_reserve_bytes': 0}, headers=etag(before), **DP)
    walk.do('updateSettings', 412, body={'content_access': 'anonymous'}, headers=etag(before), **DP)


def packages(walk):
    body = {'name': 'contract', 'labels': {'os': 'none'}}
    walk.do('createPackage', 201, body, {'Idempotency-Key': 'contract-1'})
    walk.do('createPackage', 201, body, {'Idempotency-Key': 'contract-1'})
    walk.do('createPackage', 409, body)
    walk.do('listPackages', query={'limit': 5, 'sort': '-name', 'label': 'os:none'})
    shown = walk.do('getPackage', **IMAGE)
    walk.do('updatePackage', body={'description': 'of the contract'}, headers=etag(shown), **IMAGE)
    walk.do('updatePackage', 412, {'description': 'late'}, etag(shown), **IMAGE)
    for _ in range(3):
        walk.do('createVersion', 201, {}, **IMAGE)
    walk.do('listVersions', **IMAGE)
    shown = walk.do('getVersion', version=1, **IMAGE)
    walk.do('updateVersion', body={'description': 'the first'}, headers=etag(shown), version=1, **IMAGE)
    walk.do('getVersion', 404, version=99, **IMAGE)


def files(walk):
    for version in (1, 2, 3):
        walk.do('putFile', 201, DATA + bytes([version]) * (version - 1), BYTES, version=version, path='a.bin', **IMAGE)
    walk.do('listFiles', version=1, **IMAGE)
    walk.do('headFile', version=1, path='a.bin', **IMAGE)
    walk.do('getFile', version=1, path='a.bin', **IMAGE)
    walk.do('getFile', 404, version=1, path='b.bin', **IMAGE)
    walk.do('getContent', sha256=DIGEST)
    walk.do('headContent', sha256=DIGEST)
    walk.do('getContent', 404, sha256='0' * 64)
    walk.do('deleteFile', 204, version=3, path='a.bin', **IMAGE)


def uploads(walk):
    walk.do('getUploadOptions', 204, version=3, **IMAGE)
    name = 'path ' + base64.b64encode(b'b.bin').decode()
    made = walk.do('createUpload', 201, headers={'Upload-Length': str(len(DATA)), 'Upload-Metadata': name, **TUS}, version=3, **IMAGE)
    upload = made[0]['Location'].rsplit('/', 1)[1]
    walk.do('continueUpload', 204, DATA[:9], {'Upload-Offset': '0', **PIECE}, upload=upload)
    walk.do('continueUpload', 409, DATA[:9], {'Upload-Offset': '0', **PIECE}, upload=upload)
    walk.do('listUploads')
    walk.do('listVersionUploads', version=3, **IMAGE)
    walk.do('getUpload', upload=upload)
    walk.do('deleteUpload', 204, headers=TUS, upload=upload)
    walk.do('getUpload', 404, upload=upload)


def sealing(walk):
    walk.do('getManifest', 503, version=1, **IMAGE)
    for version in (1, 2):
        task = walk.do('sealVersion', 202, version=version, **IMAGE)[1]['id']
        walk.await_task(task)
    walk.do('sealVersion', 404, version=99, **IMAGE)
    walk.do('getManifest', version=1, **IMAGE)
    walk.do('listTasks', query={'state': 'done'})
    walk.do('listTaskLog', task=task)
    walk.do('cancelTask', 409, task=task)


def promotion(walk):
    for version in (1, 2):
        walk.do('promoteVersion', version=version, **IMAGE)
    walk.do('rollBackPackage', **IMAGE)
    walk.do('listPromotions', **IMAGE)
    walk.do('retireVersion', 409, version=1, **IMAGE)
    walk.do('unpinPackage', **IMAGE)


def accounts(walk):
    lab = {'account': 'lab'}
    walk.do('createAccount', 201, {'name': 'lab', 'role': 'content', 'password': 'correct horse battery'})
    walk.do('createAccount', 409, {'name': 'lab', 'role': 'content', 'password': 'correct horse battery'})
    walk.do('listAccounts', query={'role': 'content'})
    shown = walk.do('getAccount', **lab)
    walk.do('updateAccount', body={'enabled': True}, headers=etag(shown), **lab)
    walk.do('unlockAccount', **lab)
    made = walk.do('addCertificate', 201, {'name': 'controller', 'sha256': '9f' * 32}, **lab)[1]
    walk.do('listCertificates', **lab)
    shown = walk.do('getCertificate', certificate=made['id'], **lab)
    walk.do('removeCertificate', 204, headers=etag(shown), certificate=made['id'], **lab)
    made = walk.do('createToken', 201, {'name': 'imaging', 'role': 'content'}, **lab)[1]
    walk.do('listTokens', **lab)
    walk.do('listAllTokens', query={'account': 'lab', 'state': 'active'})
    mine = {'token': made['id'], **lab}
    shown = walk.do('getToken', **mine)
    walk.do('updateToken', body={'enabled': False}, headers=etag(shown), **mine)
    walk.do('deleteToken', 412, headers=etag(shown), **mine)
    walk.do('createPackage', 401, {'name': 'no'}, bearer=made['secret'])
    walk.do('deleteToken', 204, headers=etag(walk.do('getToken', **mine)), **mine)


def joins(walk):
    body = {'package': 'contract', 'client_id': 'c1', 'client_name': 'lab-07', 'client_version': '0.1.0', 'multicast': True}
    join = walk.do('createJoin', 201, body)[1]
    mine = {'join': join['id'], 'bearer': join['receiver_token']}
    walk.do('getJoin', **mine)
    walk.do('putProgress', 204, {'state': 'joined'}, **mine)
    session = {'session': walk.do('listSessions', query={'package': 'contract'})[1]['items'][0]['id']}
    walk.do('getSession', **session)
    walk.do('listReceivers', **session)
    walk.do('listDecisions', **session)
    walk.do('deletePackage', 409, headers=etag(walk.do('getPackage', **IMAGE)), **IMAGE)
    walk.do('cancelSession', **session)
    walk.do('putResult', 204, {'outcome': 'failed', 'code': 'cancelled'}, **mine)


def library(walk):
    walk.do('getLibrary', **DP)
    walk.do('listBlobs', query={'limit': 2}, **DP)
    for name, body in (('collectLibrary', None), ('recountLibrary', None), ('validateLibrary', {'package': 'contract'})):
        task = walk.do(name, 202, body, **DP)[1]['id']
        walk.await_task(task)
    # The first MiB is read at once; the others take 33 seconds: time enough to cancel it.
    walk.do('putFile', 201, bytes(range(256)) * 5 * 4096, BYTES, version=3, path='slow.bin', **IMAGE)
    before = walk.do('getSettings', **DP)
    walk.do('updateSettings', body={'library_validate_rate_bps': 1000000}, headers=etag(before), **DP)
    task = walk.do('validateLibrary', 202, {}, **DP)[1]['id']
    walk.do('cancelTask', task=task)
    walk.await_task(task)


def keys(walk):
    walk.do('listKeys', **DP)
    walk.do('getKeys', kind='multicast', **DP)
    walk.do('checkKeys', kind='multicast', **DP)
    walk.do('rotateKey', kind='multicast', **DP)
    walk.do('revokeKey', body={'reason': 'of the contract'}, kind='multicast', **DP)
    task = walk.do('rotateKey', 202, kind='master', **DP)[1]['id']
    walk.await_task(task)
    walk.do('rotateKey', 409, kind='session-secrets', **DP)


def configuration(walk):
    document = walk.do('getConfiguration')[1]
    walk.do('putConfiguration', body=document, query={'dry_run': 'true'})
    walk.do('putConfiguration', body=document)


def webhooks(walk):
    made = walk.do('createWebhook', 201, {'name': 'chat', 'url': 'https://127.0.0.1:1/hook', 'kinds': ['session-failed']})
    mine = {'webhook': made[1]['id']}
    walk.do('listWebhooks')
    shown = walk.do('getWebhook', **mine)
    walk.do('updateWebhook', body={'enabled': False}, headers=etag(shown), **mine)
    walk.do('testWebhook', 202, **mine)
    walk.do('listWebhookDeliveries', **mine)
    shown = walk.do('getWebhook', **mine)
    walk.do('deleteWebhook', 204, headers=etag(shown), **mine)


def records(walk):
    walk.do('listEvents', query={'limit': 5})
    walk.do('listAudit', query={'limit': 5})
    walk.listen('streamEvents', {'Last-Event-ID': '1'})


def clean_up(walk):
    shown = walk.do('retireVersion', version=1, **IMAGE)
    walk.do('deleteVersion', query={'dry_run': 'true'}, headers=etag(shown), version=1, **IMAGE)
    walk.do('deleteVersion', 204, headers=etag(shown), version=1, **IMAGE)
    shown = walk.do('getPackage', **IMAGE)
    walk.do('deletePackage', 204, headers=etag(shown), **IMAGE)
    shown = walk.do('getAccount', account='lab')
    walk.do('deleteAccount', 204, headers=etag(shown), account='lab')
    walk.do('createPackage', 201, {'name': 'empty'})
    shown = walk.do('getPackage', package='empty')
    walk.do('deletePackage', 204, headers=etag(shown), package='empty')
