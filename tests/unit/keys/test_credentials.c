/* SPDX-License-Identifier: Apache-2.0
 * Tokens, passwords, the master key's file, sealing. Writes below a folder of its own in /tmp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keys/credentials.h"

static void test_random(void **state)
{
    uint8_t a[16], b[16];

    (void)state;
    assert_int_equal(keys_random(a, sizeof a), CP_OK);
    assert_int_equal(keys_random(b, sizeof b), CP_OK);
    assert_memory_not_equal(a, b, sizeof a);
    assert_true(keys_equal_secret("abc", "abc", 3));
    assert_false(keys_equal_secret("abc", "abd", 3));
    assert_true(keys_equal_secret("x", "y", 0));
}

static void test_tokens(void **state)
{
    char token[KEYS_TOKEN_SIZE], other[KEYS_TOKEN_SIZE];
    uint8_t hash[32], again[32];

    (void)state;
    assert_int_equal(keys_token_new(KEYS_TOKEN_RECEIVER, token, hash), CP_OK);
    assert_int_equal(strlen(token), 4 + 43);
    assert_memory_equal(token, "cpr_", 4);
    assert_int_equal(keys_token_hash(token, again), CP_OK);
    assert_memory_equal(hash, again, 32);
    assert_int_equal(keys_token_new(KEYS_TOKEN_ACCOUNT, other, again), CP_OK);
    assert_string_not_equal(token + 4, other + 4);
    assert_memory_not_equal(hash, again, 32);
}

static void test_sha256(void **state)
{
    char text[65];

    (void)state;
    assert_int_equal(keys_sha256_hex("abc", 3, text), CP_OK); /* FIPS 180-2 B.1 */
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 4231 4.3 and 4.7. */
static void test_hmac(void **state)
{
    static const char data[] = "what do ya want for nothing?";
    char key[132];
    char text[65];

    (void)state;
    assert_int_equal(keys_hmac_hex("Jefe", data, sizeof data - 1, text), CP_OK);
    assert_string_equal(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 131);
    key[131] = '\0';
    assert_int_equal(
        keys_hmac_hex(key, "Test Using Larger Than Block-Size Key - Hash Key First", 54, text),
        CP_OK);
    assert_string_equal(text, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_password_new(void **state)
{
    char a[KEYS_PASSWORD_SIZE], b[KEYS_PASSWORD_SIZE];

    (void)state;
    assert_int_equal(keys_password_new(a), CP_OK);
    assert_int_equal(keys_password_new(b), CP_OK);
    assert_int_equal(strlen(a), 20);
    assert_null(strpbrk(a, "01lo"));
    assert_string_not_equal(a, b);
}

static void test_password(void **state)
{
    /* The same as Python's hashlib.scrypt(b"secret", salt=bytes(range(16)), n=2**15, r=8, p=3,
     * dklen=32, maxmem=2**27), and of before, with p=1. */
    static const char known[] =
        "scrypt$15$8$3$AAECAwQFBgcICQoLDA0ODw$dJjH24E4NX6nzpVwT3tjaq4fioVPdvMyW6bGf5Y60ew";
    static const char former[] =
        "scrypt$15$8$1$AAECAwQFBgcICQoLDA0ODw$71MrULv6YuZMr-5TlqzaKGb6X4rZEs0_5cvElSZBr2s";
    char encoded[KEYS_PASSWORD_HASH_SIZE], other[KEYS_PASSWORD_HASH_SIZE];

    (void)state;
    assert_int_equal(keys_password_hash("secret", encoded), CP_OK);
    assert_memory_equal(encoded, "scrypt$15$8$3$", 14);
    assert_int_equal(keys_password_verify("secret", encoded), CP_OK);
    assert_int_equal(keys_password_verify("Secret", encoded), CP_ERR_AUTH_FAILED);
    assert_int_equal(keys_password_verify("", encoded), CP_ERR_AUTH_FAILED);
    assert_int_equal(keys_password_hash("secret", other), CP_OK);
    assert_string_not_equal(encoded, other);
    assert_int_equal(keys_password_verify("secret", known), CP_OK);
    assert_int_equal(keys_password_verify("secret", former), CP_OK);
    assert_int_equal(keys_password_verify("Secret", former), CP_ERR_AUTH_FAILED);
    assert_true(keys_password_outdated(former));
    assert_false(keys_password_outdated(known));
    assert_false(keys_password_outdated(encoded));
    assert_false(keys_password_outdated("")); /* there is none to be made anew */
}

static void test_password_damaged(void **state)
{
    static const char *const damaged[] = {
        "",
        "secret",
        "scrypt$15$8$1$$",
        "scrypt$31$8$1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8",
        "scrypt$15$99$1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8",
        "scrypt$15$8$1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8x",
        "scrypt$15$8$1$AAEC!wQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8",
    };

    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        assert_int_equal(keys_password_verify("secret", damaged[i]), CP_ERR_AUTH_FAILED);
    }
}

static void test_seal(void **state)
{
    uint8_t key[32] = {1}, other[32] = {2};
    uint8_t sealed[64 + KEYS_SEAL_OVERHEAD], again[64 + KEYS_SEAL_OVERHEAD], back[64];
    uint8_t data[64];
    size_t size = 0, back_size = 0;

    (void)state;
    memset(data, 'd', sizeof data);
    assert_int_equal(keys_seal(key, "purpose", data, 64, sealed, &size), CP_OK);
    assert_int_equal(size, 64 + KEYS_SEAL_OVERHEAD);
    assert_int_equal(keys_seal(key, "purpose", data, 64, again, &size), CP_OK);
    assert_memory_not_equal(sealed, again, size);
    assert_int_equal(
        keys_unseal(key, "purpose", (struct keys_sealed){sealed, size}, back, 64, &back_size),
        CP_OK);
    assert_int_equal(back_size, 64);
    assert_memory_equal(back, data, 64);

    assert_int_equal(
        keys_unseal(other, "purpose", (struct keys_sealed){sealed, size}, back, 64, &back_size),
        CP_ERR_SIGNATURE);
    assert_int_equal(
        keys_unseal(key, "Purpose", (struct keys_sealed){sealed, size}, back, 64, &back_size),
        CP_ERR_SIGNATURE);
    assert_int_equal(
        keys_unseal(key, "purpose", (struct keys_sealed){sealed, size}, back, 63, &back_size),
        CP_ERR_SIGNATURE);
    for (size_t i = 0; i < size; i++) {
        sealed[i] ^= 1;
        assert_int_equal(
            keys_unseal(key, "purpose", (struct keys_sealed){sealed, size}, back, 64, &back_size),
            CP_ERR_SIGNATURE);
        sealed[i] ^= 1;
        assert_int_equal(
            keys_unseal(key, "purpose", (struct keys_sealed){sealed, i}, back, 64, &back_size),
            CP_ERR_SIGNATURE);
    }
    assert_int_equal(keys_seal(key, "", NULL, 0, sealed, &size), CP_OK);
    assert_int_equal(keys_unseal(key, "", (struct keys_sealed){sealed, size}, back, 0, &back_size),
                     CP_OK);
    assert_int_equal(back_size, 0);
}

/* ---- master key ---- */

struct folder {
    char path[64];
    char file[96];
};

static int folder_open(void **state)
{
    struct folder *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->path, sizeof f->path, "/tmp/castpoint-test.XXXXXX");
    assert_non_null(mkdtemp(f->path));
    (void)snprintf(f->file, sizeof f->file, "%s/master.key", f->path);
    *state = f;
    return 0;
}

static int folder_close(void **state)
{
    struct folder *f = *state;

    (void)unlink(f->file);
    (void)rmdir(f->file);
    assert_int_equal(rmdir(f->path), 0); /* nothing else was left there */
    free(f);
    return 0;
}

static void test_master_key_made(void **state)
{
    struct folder *f = *state;
    uint8_t key[32] = {0}, again[32] = {0}, zero[32] = {0};
    struct cp_error err;
    struct stat st;

    assert_int_equal(keys_master_load(f->file, key, &err), CP_OK);
    assert_memory_not_equal(key, zero, 32);
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(keys_master_load(f->file, again, &err), CP_OK);
    assert_memory_equal(key, again, 32);
}

static void test_master_key_refused(void **state)
{
    struct folder *f = *state;
    uint8_t key[32], before[32];
    struct cp_error err;

    memset(before, 7, sizeof before);
    memcpy(key, before, sizeof key);
    assert_int_equal(keys_master_load("/nonexistent/x/master.key", key, &err), CP_ERR_MASTER_KEY);
    assert_int_equal(mkdir(f->file, 0700), 0);
    assert_int_equal(keys_master_load(f->file, key, &err), CP_ERR_MASTER_KEY);
    assert_int_equal(rmdir(f->file), 0);

    assert_int_equal(symlink("/dev/zero", f->file), 0);
    assert_int_equal(keys_master_load(f->file, key, &err), CP_ERR_MASTER_KEY);
    assert_int_equal(unlink(f->file), 0);

    assert_int_equal(keys_master_load(f->file, key, &err), CP_OK);
    memcpy(key, before, sizeof key);
    assert_int_equal(chmod(f->file, 0640), 0);
    assert_int_equal(keys_master_load(f->file, key, &err), CP_ERR_MASTER_KEY);
    assert_non_null(strstr(err.text, "chmod 600"));
    assert_int_equal(chmod(f->file, 0600), 0);
    assert_int_equal(truncate(f->file, 31), 0);
    assert_int_equal(keys_master_load(f->file, key, &err), CP_ERR_MASTER_KEY);
    assert_non_null(strstr(err.text, "32 bytes"));
    assert_memory_equal(key, before, sizeof key);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_open, folder_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),           cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_sha256),           cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_password_new),     cmocka_unit_test(test_password),
        cmocka_unit_test(test_password_damaged), cmocka_unit_test(test_seal),
        IN_FOLDER(test_master_key_made),         IN_FOLDER(test_master_key_refused),
    };

    return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}
