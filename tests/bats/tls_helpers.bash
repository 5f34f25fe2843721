# SPDX-License-Identifier: GPL-3.0-or-later
# Certificates for the .bats files of TLS, below $CERTS: ca.pem (and other-ca.pem) vouches for
#   NAME.pem    a key and its certificate, by make_cert NAME SUBJECT [SUBJECT_ALT_NAME]
source "${BASH_SOURCE[0]%/*}/ensemble_helpers.bash"

CERTS=$ZAB_TMP/certs

quietly() {
    "$@" 2>"$CERTS/openssl.log" || {
        cat "$CERTS/openssl.log" >&2
        return 1
    }
}

new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

make_authority() {
    quietly openssl req -x509 "${new_key[@]}" -keyout "$CERTS/$1.key" -out "$CERTS/$1.pem" -days 7 \
        -subj "/CN=$1"
}

make_cert() {
    local name=$1 subject=$2 alt=${3:-} ca=${4:-ca}
    quietly openssl req "${new_key[@]}" -keyout "$CERTS/$name.key" -out "$CERTS/$name.csr" \
        -subj "$subject"
    quietly openssl x509 -req -in "$CERTS/$name.csr" -CA "$CERTS/$ca.pem" -CAkey "$CERTS/$ca.key" \
        -CAcreateserial -days 7 -out "$CERTS/$name.crt" \
        -extfile <(echo "${alt:+subjectAltName=$alt}")
    cat "$CERTS/$name.key" "$CERTS/$name.crt" >"$CERTS/$name.pem"
}

make_certs() {
    require_program openssl
    mkdir -p "$CERTS"
    make_authority ca
    make_authority other-ca
    make_cert server /O=zabfs/CN=server DNS:localhost,IP:127.0.0.1
    make_cert elsewhere /O=zabfs/CN=elsewhere DNS:elsewhere.example.org
    make_cert alice /O=zabfs/CN=alice
    make_cert intruder /CN=intruder "" other-ca
}

# The lines of zoo.cfg, with the prefix $1 and the key store $2.
stores() {
    echo "$1keyStore.location=$CERTS/${2:-server.pem}"
    echo "$1trustStore.location=$CERTS/ca.pem"
}
