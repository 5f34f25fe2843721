/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A distinguished name as Java writes it for RFC 2253 (X500Principal.getName()), since ACLs have
 * names in that form. OpenSSL's own form for that RFC differs from it: more keywords, and letters
 * beyond ASCII in hexadecimal. */
#include "internal.h"

#include <stdlib.h>

static const struct {
    int nid;
    const char *keyword;
} keywords[] = {
    {NID_commonName, "CN"},
    {NID_countryName, "C"},
    {NID_localityName, "L"},
    {NID_stateOrProvinceName, "ST"},
    {NID_streetAddress, "STREET"},
    {NID_organizationName, "O"},
    {NID_organizationalUnitName, "OU"},
    {NID_domainComponent, "DC"},
    {NID_userId, "UID"},
};

static const char *keyword_of(const ASN1_OBJECT *type)
{
    int nid = OBJ_obj2nid(type);
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
        if (keywords[i].nid == nid)
            return keywords[i].keyword;
    }
    return NULL;
}

static bool is_string(const ASN1_STRING *value)
{
    switch (ASN1_STRING_type(value)) {
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_UTF8STRING:
    case V_ASN1_T61STRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_GENERALSTRING:
    case V_ASN1_BMPSTRING:
    case V_ASN1_UNIVERSALSTRING:
        return true;
    default:
        return false;
    }
}

static void write_escaped(struct buf *out, const uint8_t *text, size_t len)
{
    size_t first = 0, end = len;
    while (first < len && (text[first] == ' ' || text[first] == '\r'))
        first++;
    while (end > first && (text[end - 1] == ' ' || text[end - 1] == '\r'))
        end--;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\0')
            buf_append(out, "\\00", 3);
        else if (strchr(",=+<>#;\"\\", text[i]) || i < first || i >= end)
            buf_append(out, (const char[]){'\\', (char)text[i]}, 2);
        else
            buf_append(out, &text[i], 1);
    }
}

static void write_hex(struct buf *out, const ASN1_STRING *value)
{
    uint8_t *der = NULL;
    ASN1_TYPE type = {.type = ASN1_STRING_type(value), .value.asn1_string = (ASN1_STRING *)value};
    int len = i2d_ASN1_TYPE(&type, &der);
    buf_append(out, "#", 1);
    for (int i = 0; i < len; i++)
        buf_printf(out, "%02x", der[i]);
    OPENSSL_free(der);
}

static void write_entry(struct buf *out, const X509_NAME_ENTRY *entry)
{
    const ASN1_OBJECT *type = X509_NAME_ENTRY_get_object(entry);
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
    const char *keyword = keyword_of(type);
    uint8_t *text = NULL;
    int len = keyword && is_string(value) ? ASN1_STRING_to_UTF8(&text, value) : -1;
    char oid[128];
    if (!keyword)
        OBJ_obj2txt(oid, sizeof(oid), type, 1);
    buf_printf(out, "%s=", keyword ? keyword : oid);
    if (len >= 0)
        write_escaped(out, text, (size_t)len);
    else
        write_hex(out, value);
    OPENSSL_free(text);
}

/* The last comes first; what has one set number belongs together, in its order. */
char *tls_name_text(const X509_NAME *name)
{
    struct buf out = {0};
    int end = X509_NAME_entry_count(name);
    while (end > 0) {
        int set = X509_NAME_ENTRY_set(X509_NAME_get_entry(name, end - 1)), first = end - 1;
        while (first > 0 && X509_NAME_ENTRY_set(X509_NAME_get_entry(name, first - 1)) == set)
            first--;
        for (int i = first; i < end; i++) {
            if (out.len > 0)
                buf_append(&out, i == first ? "," : "+", 1);
            write_entry(&out, X509_NAME_get_entry(name, i));
        }
        end = first;
    }
    char *text = slice_dup_str(buf_slice(&out));
    buf_close(&out);
    return text;
}
