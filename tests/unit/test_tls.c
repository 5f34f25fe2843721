/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The TLS engine: two of them talk to each other in memory. */
#include "tls_lib.h"

static struct identity ca, other_ca, server, client;

#define CA_PEM                                                                                     \
    {                                                                                              \
        "trust", path_of("ca.pem"), NULL, NULL                                                     \
    }

static struct tls_settings server_settings(void)
{
    return (struct tls_settings){.prefix = "ssl.",
                                 .key = {"key", path_of("server.pem"), NULL, NULL},
                                 .trust = CA_PEM,
                                 .client_auth = TLS_CLIENT_NEED,
                                 .verify_server_name = true};
}

static struct tls_settings client_settings(void)
{
    return (struct tls_settings){.prefix = "tls_",
                                 .key = {"key", path_of("client.pem"), NULL, NULL},
                                 .trust = CA_PEM,
                                 .verify_server_name = true};
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

/* ---- Bytes ---- */

static void talk(const char *protocols, size_t step)
{
    struct tls_settings c = client_settings(), s = server_settings();
    struct pair p;
    struct buf data = {0};
    s.enabled_protocols = protocols;
    for (int i = 0; i < 50000; i++)
        be32_put(buf_extend(&data, 4), (uint32_t)i);
    pair_open(&p, &c, &s, "zk1.example.org", "127.0.0.1");
    assert_false(tls_conn_ready(p.client.conn));
    pump(&p, step);
    assert_true(tls_conn_ready(p.client.conn) && tls_conn_ready(p.server.conn));
    assert_string_equal(tls_conn_subject(p.server.conn), "CN=a client");
    assert_string_equal(tls_conn_subject(p.client.conn), "CN=zk1");
    assert_int_equal(tls_conn_send(p.client.conn, buf_slice(&data), NULL), 0);
    assert_int_equal(tls_conn_send(p.server.conn, slice_str("short"), NULL), 0);
    pump(&p, step);
    assert_true(slice_eq(buf_slice(&p.server.got), buf_slice(&data)));
    assert_true(slice_eq_str(buf_slice(&p.client.got), "short"));
    tls_conn_end(p.client.conn);
    pump(&p, step);
    assert_int_equal(p.server.rc, -EPIPE);
    assert_int_equal(p.client.rc, 0);
    pair_close(&p);
    buf_close(&data);
}

static void two_sides_talk_however_the_bytes_are_cut(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 2, 5, 6, 100, 16384, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        talk("TLSv1.2", steps[i]);
        talk("TLSv1.3", steps[i]);
    }
}

static void nothing_waits_but_the_beginning_of_a_record(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    struct pair p;
    pair_open(&p, &c, &s, "zk1.example.org", "127.0.0.1");
    pump(&p, 1 << 20);
    tls_conn_send(p.client.conn, slice_str("all but the last byte"), NULL);
    struct buf *out = tls_conn_output(p.client.conn);
    receive(&p.server, out->data, out->len - 1);
    assert_int_equal(p.server.got.len, 0);
    receive(&p.server, out->data + out->len - 1, 1);
    assert_true(slice_eq_str(buf_slice(&p.server.got), "all but the last byte"));
    pair_close(&p);
}

static void a_changed_byte_ends_the_connection(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    struct pair p;
    pair_open(&p, &c, &s, "zk1.example.org", "127.0.0.1");
    pump(&p, 1 << 20);
    tls_conn_send(p.client.conn, slice_str("something"), NULL);
    tls_conn_output(p.client.conn)->data[8] ^= 1;
    pump(&p, 1 << 20);
    assert_int_equal(p.server.rc, -EPROTO);
    assert_int_equal(p.server.got.len, 0);
    assert_false(tls_conn_ready(p.server.conn));
    pair_close(&p);
}

static void what_is_no_tls_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"ruok", "\0\0\0\x2d\0\0\0\0",
                                        "\xff\xff\xff\xff\xff\xff\0\0", "GET / HTTP/1.0\r\n\r\n"};
    struct tls_settings settings = server_settings();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct side s;
        side_open(&s, &settings, TLS_SERVER, NULL);
        receive(&s, texts[i], 4);
        assert_int_equal(s.rc, -EPROTO);
        has(s.e.text, "does not speak it");
        pair_close(&(struct pair){.server = s});
    }
}

static void garbage_is_refused(void **state)
{
    (void)state;
    struct tls_settings settings = server_settings();
    uint64_t x = 1;
    for (int run = 0; run < 200; run++) {
        struct side s;
        side_open(&s, &settings, TLS_SERVER, NULL);
        receive(&s, "\x16\x03\x01", 3);
        for (int i = 0; i < 70000 && s.rc == 0; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            receive(&s, &(uint8_t){(uint8_t)(x >> 56)}, 1);
        }
        assert_int_equal(s.rc, -EPROTO);
        assert_int_equal(s.got.len, 0);
        pair_close(&(struct pair){.server = s});
    }
}

/* ---- Who the other side is ---- */

/* The handshake does not come about: one side says why, and neither gets a byte of the other's. */
static void refused(const struct tls_settings *c, const struct tls_settings *s, const char *host,
                    bool by_client, const char *why)
{
    struct pair p;
    pair_open(&p, c, s, host, "127.0.0.1");
    pump(&p, 1 << 20);
    struct side *who = by_client ? &p.client : &p.server,
                *other = by_client ? &p.server : &p.client;
    assert_true(who->rc < 0);
    assert_false(tls_conn_ready(who->conn));
    has(who->e.text, why);
    assert_true(other->rc < 0);
    has(other->e.text, "refused by the other side");
    assert_int_equal(p.client.got.len + p.server.got.len, 0);
    pair_close(&p);
}

static void accepted(const struct tls_settings *c, const struct tls_settings *s, const char *host,
                     const char *address)
{
    struct pair p;
    pair_open(&p, c, s, host, address);
    pump(&p, 1 << 20);
    if (p.client.rc != 0 || p.server.rc != 0)
        fail_msg("client: %s; server: %s", p.client.e.text, p.server.e.text);
    assert_true(tls_conn_ready(p.client.conn) && tls_conn_ready(p.server.conn));
    pair_close(&p);
}

static void both_must_come_from_a_trusted_authority(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    c.trust.path = path_of("other-ca.pem");
    refused(&c, &s, "zk1.example.org", true, "CN=zk1 is not accepted");
    c = client_settings();
    s.trust.path = path_of("other-ca.pem");
    refused(&c, &s, "zk1.example.org", false, "CN=a client is not accepted");
}

static void a_certificate_that_is_trusted_itself_needs_no_authority(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    c.trust.path = path_of("server.pem");
    accepted(&c, &s, "zk1.example.org", "127.0.0.1");
}

static void the_name_of_the_server_counts(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    accepted(&c, &s, "zk1.example.org", "127.0.0.1");
    accepted(&c, &s, "127.0.0.1", "127.0.0.1");
    accepted(&c, &s, "::1", "127.0.0.1");
    refused(&c, &s, "zk2.example.org", true, "CN=zk1 is not for zk2.example.org");
    refused(&c, &s, "127.0.0.2", true, "is not for 127.0.0.2");
    c.verify_server_name = false;
    accepted(&c, &s, "zk2.example.org", "127.0.0.1");
}

static void the_name_of_the_client_counts_where_it_has_to(void **state)
{
    (void)state;
    static const char *const servers[] = {"zk3", "zk1.example.org"};
    struct tls_settings c = client_settings(), s = server_settings();
    s.verify_client_name = true;
    refused(&c, &s, "zk1.example.org", false, "CN=a client is not for 127.0.0.1");
    c.key.path = path_of("server.pem");
    accepted(&c, &s, "zk1.example.org", "127.0.0.1");
    s.client_names = servers;
    s.n_client_names = 2;
    accepted(&c, &s, "zk1.example.org", "10.9.8.7");
    s.n_client_names = 1;
    struct pair p;
    pair_open(&p, &c, &s, "zk1.example.org", "10.9.8.7");
    pump(&p, 1 << 20);
    assert_int_equal(p.server.rc, -EACCES);
    pair_close(&p);
}

static void what_has_expired_is_refused(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    s.key.path = path_of("expired.pem");
    refused(&c, &s, "zk1.example.org", true, "expired");
    c.key.path = path_of("expired.pem");
    s = server_settings();
    refused(&c, &s, "zk1.example.org", false, "expired");
}

static void a_client_without_certificate(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    c.key.path = NULL;
    refused(&c, &s, "zk1.example.org", false, "did not return a certificate");
    s.client_auth = TLS_CLIENT_WANT;
    struct pair p;
    pair_open(&p, &c, &s, "zk1.example.org", "127.0.0.1");
    pump(&p, 1 << 20);
    assert_true(tls_conn_ready(p.server.conn));
    assert_null(tls_conn_subject(p.server.conn));
    pair_close(&p);
    c.key.path = path_of("self-signed.pem");
    refused(&c, &s, "zk1.example.org", false, "is not accepted");
    s.client_auth = TLS_CLIENT_NONE;
    accepted(&c, &s, "zk1.example.org", "127.0.0.1");
}

static void write_revocation(const char *name)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *later = X509_gmtime_adj(NULL, 86400);
    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca.cert));
    X509_CRL_set1_lastUpdate(crl, now);
    X509_CRL_set1_nextUpdate(crl, later);
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(client.cert));
    X509_REVOKED_set_revocationDate(entry, now);
    X509_CRL_add0_revoked(crl, entry);
    X509_CRL_sign(crl, ca.key, EVP_sha256());
    FILE *f = create(name);
    PEM_write_X509(f, ca.cert);
    PEM_write_X509_CRL(f, crl);
    fclose(f);
    X509_CRL_free(crl);
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);
}

static void what_was_revoked_is_refused(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    write_revocation("revoked.pem");
    s.trust.path = path_of("revoked.pem");
    accepted(&c, &s, "zk1.example.org", "127.0.0.1");
    s.crl = true;
    refused(&c, &s, "zk1.example.org", false, "revoked");
    c.key.path = path_of("server.pem");
    accepted(&c, &s, "zk1.example.org", "127.0.0.1");
}

/* ---- Settings ---- */

static void no_context(const struct tls_settings *s, const char *part, const char *another)
{
    struct tls_context *t;
    struct err e = {0};
    assert_true(tls_context_open(&t, s, &e) < 0);
    has(e.text, part);
    has(e.text, another);
}

static void bad_stores_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *file, *type, *password, *why;
    } bad[] = {
        {"none.pem", NULL, NULL, "No such file"},
        {"server.txt", NULL, NULL, "ends in none of"},
        {"server.pem", "BCFKS", NULL, "not supported"},
        {"old.jks", NULL, NULL, "keytool -importkeystore"},
        {"empty.pem", NULL, NULL, "no private key"},
        {"ca.pem", NULL, NULL, "no private key"},
        {"locked.pem", NULL, NULL, "needs a password"},
        {"locked.pem", NULL, "wrong", "is the password right"},
        {"server.p12", NULL, "wrong", "the password is wrong"},
        {"server.p12", NULL, NULL, "needs a password"},
        {"server.pem", "PKCS12", NULL, "not in the format PKCS12"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct tls_settings s = server_settings();
        s.key = (struct tls_store){"ssl.keyStore.location", path_of(bad[i].file), bad[i].type,
                                   bad[i].password};
        no_context(&s, bad[i].why, "ssl.keyStore.location: /");
        has(s.key.path, bad[i].file);
    }
    struct tls_settings s = server_settings();
    s.trust.path = path_of("empty.pem");
    no_context(&s, "no certificate", "trust: /");
    s = server_settings();
    s.crl = true;
    no_context(&s, "ssl.crl", "no revocation list");
    s = server_settings();
    s.separate_key = (struct tls_store){"tls_key", path_of("client.pem"), "PEM", NULL};
    no_context(&s, "key values mismatch", "server.pem");
}

static void each_kind_of_store_is_read(void **state)
{
    (void)state;
    static const struct tls_store stores[] = {
        {"key", "locked.pem", NULL, "secret"},     {"key", "server.p12", NULL, "secret"},
        {"key", "server.txt", "pem", NULL},        {"key", "new.jks", NULL, "secret"},
        {"key", "server.p12", "pkcs12", "secret"},
    };
    struct tls_settings c = client_settings(), s = server_settings();
    for (size_t i = 0; i < ARRAY_LEN(stores); i++) {
        s.key = stores[i];
        s.key.path = path_of(stores[i].path);
        accepted(&c, &s, "zk1.example.org", "127.0.0.1");
    }
    s.separate_key = (struct tls_store){"tls_key", path_of("server.pem"), "PEM", NULL};
    s.key = (struct tls_store){"tls_cert", path_of("server.pem"), "PEM", NULL};
    accepted(&c, &s, "zk1.example.org", "127.0.0.1");
}

static void protocols_and_ciphers(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    s.protocol = "TLSv1.2";
    s.ciphers = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, ECDHE-ECDSA-AES256-GCM-SHA384";
    accepted(&c, &s, "zk1.example.org", "127.0.0.1");
    c.ciphers = "TLS_AES_128_GCM_SHA256";
    struct pair p;
    pair_open(&p, &c, &s, "zk1.example.org", "127.0.0.1");
    pump(&p, 1 << 20);
    assert_true(p.server.rc < 0 && p.client.rc < 0);
    pair_close(&p);
    s = server_settings();
    accepted(&c, &s, "zk1.example.org", "127.0.0.1");

    s.protocol = "TLSv1.1";
    no_context(&s, "ssl.protocol", "\"TLSv1.1\" is not supported");
    s.protocol = NULL;
    s.enabled_protocols = "TLSv1.2,SSLv3";
    no_context(&s, "ssl.enabledProtocols", "\"SSLv3\"");
    s.enabled_protocols = ",";
    no_context(&s, "ssl.enabledProtocols", "empty");
    s.enabled_protocols = "TLSv1.3";
    s.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
    no_context(&s, "ssl.ciphersuites", "none of them");
    s.ciphers = "TLS_AES_128_GCM_SHA256,TLS_NO_SUCH_SUITE";
    no_context(&s, "ssl.ciphersuites", "\"TLS_NO_SUCH_SUITE\"");
    s.ciphers = "NONSENSE";
    no_context(&s, "ssl.ciphersuites", "\"NONSENSE\"");
}

/* ---- Names ---- */

static void a_long_name(X509_NAME *name)
{
    add_name(name, "C", "DE");
    add_name(name, "O", " Smith, Jones + Co; \"x\" <y> #1=\\ ");
    add_name(name, "emailAddress", "a@b");
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)"M\xc3\xbcller", -1, -1,
                               0);
    X509_NAME_add_entry_by_txt(name, "UID", MBSTRING_UTF8, (const uint8_t *)"mm", -1, -1, -1);
}

static void names_are_those_of_java(void **state)
{
    (void)state;
    struct identity id =
        identity_make(&(struct wanted){.name = a_long_name, .issuer = &ca, .days = 10});
    struct tls_settings c = client_settings(), s = server_settings();
    struct pair p;
    write_pem("long.pem", &id, NULL);
    c.key.path = path_of("long.pem");
    pair_open(&p, &c, &s, "zk1.example.org", "127.0.0.1");
    pump(&p, 1 << 20);
    assert_string_equal(tls_conn_subject(p.server.conn),
                        "CN=M\xc3\xbcller+UID=mm,1.2.840.113549.1.9.1=#1603614062,"
                        "O=\\ Smith\\, Jones \\+ Co\\; \\\"x\\\" \\<y\\> \\#1\\=\\\\\\ ,C=DE");
    pair_close(&p);
    identity_free(&id);
}

/* ---- Setting up ---- */

static void write_stores(void)
{
    static const char jks[] = "\xfe\xed\xfe\xed\0\0\0\2";
    struct identity expired = identity_make(&(struct wanted){
        .common_name = "old", .alt_name = "DNS:zk1.example.org", .issuer = &ca, .days = -1});
    struct identity self = identity_make(&(struct wanted){.common_name = "self", .days = 10});
    write_pem("ca.pem", &(struct identity){.cert = ca.cert}, NULL);
    write_pem("other-ca.pem", &(struct identity){.cert = other_ca.cert}, NULL);
    write_pem("server.pem", &server, NULL);
    write_pem("server.txt", &server, NULL);
    write_pem("locked.pem", &server, "secret");
    write_p12("server.p12", &server, "secret");
    write_p12("new.jks", &server, "secret");
    write_text("old.jks", jks, sizeof(jks));
    write_text("empty.pem", "\n", 1);
    write_pem("client.pem", &client, NULL);
    write_pem("expired.pem", &expired, NULL);
    write_pem("self-signed.pem", &self, NULL);
    identity_free(&expired);
    identity_free(&self);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    ca = identity_make(&(struct wanted){.common_name = "our CA", .authority = true, .days = 10});
    other_ca =
        identity_make(&(struct wanted){.common_name = "their CA", .authority = true, .days = 10});
    server = identity_make(&(struct wanted){.common_name = "zk1",
                                            .alt_name = "DNS:zk1.example.org,IP:127.0.0.1,IP:::1",
                                            .issuer = &ca,
                                            .days = 10});
    client = identity_make(&(struct wanted){.common_name = "a client", .issuer = &ca, .days = 10});
    write_stores();
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {
        "ca.pem",      "other-ca.pem",    "server.pem", "server.txt", "locked.pem",
        "server.p12",  "new.jks",         "old.jks",    "empty.pem",  "client.pem",
        "expired.pem", "self-signed.pem", "long.pem",   "revoked.pem"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        unlink(path_of(files[i]));
    identity_free(&ca);
    identity_free(&other_ca);
    identity_free(&server);
    identity_free(&client);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_sides_talk_however_the_bytes_are_cut),
        cmocka_unit_test(nothing_waits_but_the_beginning_of_a_record),
        cmocka_unit_test(a_changed_byte_ends_the_connection),
        cmocka_unit_test(what_is_no_tls_is_refused),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(both_must_come_from_a_trusted_authority),
        cmocka_unit_test(a_certificate_that_is_trusted_itself_needs_no_authority),
        cmocka_unit_test(the_name_of_the_server_counts),
        cmocka_unit_test(the_name_of_the_client_counts_where_it_has_to),
        cmocka_unit_test(what_has_expired_is_refused),
        cmocka_unit_test(a_client_without_certificate),
        cmocka_unit_test(what_was_revoked_is_refused),
        cmocka_unit_test(bad_stores_are_named),
        cmocka_unit_test(each_kind_of_store_is_read),
        cmocka_unit_test(protocols_and_ciphers),
        cmocka_unit_test(names_are_those_of_java),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
