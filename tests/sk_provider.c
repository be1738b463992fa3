/* A security key in software, for the tests: what OpenSSH calls SSH_SK_PROVIDER, so that ssh-keygen itself makes sk
 * keys and signatures where there is no hardware. Its key handle is the private key, so it protects nothing.
 * It says that it was touched whenever ssh-keygen asks for a touch, and does not where a key needs none. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ECDSA = 0, ED25519 = 1, VERSION = 0x000a0000, ERROR = -1, UNSUPPORTED = -2 };

struct sk_option;
struct enrolled {
    uint8_t flags;
    uint8_t *public_key;
    size_t public_key_len;
    uint8_t *key_handle;
    size_t key_handle_len;
    uint8_t *signature;
    size_t signature_len;
    uint8_t *attestation_cert;
    size_t attestation_cert_len;
    uint8_t *authdata;
    size_t authdata_len;
};
struct signed_ {
    uint8_t flags;
    uint32_t counter;
    uint8_t *sig_r;
    size_t sig_r_len;
    uint8_t *sig_s;
    size_t sig_s_len;
};

uint32_t sk_api_version(void) { return VERSION; }

static uint8_t *copy(const uint8_t *bytes, size_t length) {
    uint8_t *there = malloc(length ? length : 1);
    if (there)
        memcpy(there, bytes, length);
    return there;
}

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
              const char *pin, struct sk_option **options, struct enrolled **response) {
    EVP_PKEY *key = alg == ECDSA     ? EVP_EC_gen("P-256")
                    : alg == ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                     : NULL;
    struct enrolled *made = calloc(1, sizeof *made);
    unsigned char point[65], *secret = NULL;
    size_t size = sizeof point;
    (void)challenge, (void)challenge_len, (void)application, (void)pin, (void)options;
    if (!key || !made)
        return UNSUPPORTED;
    made->flags = flags;
    int well = alg == ED25519 ? EVP_PKEY_get_raw_public_key(key, point, &size)
                              : EVP_PKEY_get_octet_string_param(key, "pub", point, sizeof point, &size);
    int length = i2d_PrivateKey(key, &secret);
    if (well != 1 || length <= 0)
        return ERROR;
    made->public_key = copy(point, made->public_key_len = size);
    made->key_handle = copy(secret, made->key_handle_len = length);
    made->signature = copy((const uint8_t *)"", 0);
    OPENSSL_free(secret), EVP_PKEY_free(key);
    *response = made;
    return 0;
}

static int seal(EVP_PKEY *key, const uint8_t *message, size_t length, uint8_t **value, size_t *value_len) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *hash = EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    uint8_t *there = malloc(*value_len = 256);
    int well = context && there && EVP_DigestSignInit(context, NULL, hash, NULL, key) == 1 &&
               EVP_DigestSign(context, there, value_len, message, length) == 1;
    EVP_MD_CTX_free(context);
    *value = there;
    return well ? 0 : ERROR;
}

static int halves(const uint8_t *der, size_t length, struct signed_ *made) {
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)length);
    if (!pair)
        return ERROR;
    const BIGNUM *r = ECDSA_SIG_get0_r(pair), *s = ECDSA_SIG_get0_s(pair);
    made->sig_r = malloc(made->sig_r_len = BN_num_bytes(r));
    made->sig_s = malloc(made->sig_s_len = BN_num_bytes(s));
    BN_bn2bin(r, made->sig_r), BN_bn2bin(s, made->sig_s);
    ECDSA_SIG_free(pair);
    return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application, const uint8_t *key_handle,
            size_t key_handle_len, uint8_t flags, const char *pin, struct sk_option **options,
            struct signed_ **response) {
    const unsigned char *secret = key_handle;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &secret, (long)key_handle_len);
    struct signed_ *made = calloc(1, sizeof *made);
    uint8_t message[32 + 1 + 4 + 32] = {0}, *value = NULL;
    size_t length = 0;
    (void)pin, (void)options;
    if (!key || !made)
        return ERROR;
    made->flags = flags, made->counter = 7;
    SHA256((const uint8_t *)application, strlen(application), message);
    message[32] = flags, message[36] = 7;
    SHA256(data, data_len, message + 37);
    if (seal(key, message, sizeof message, &value, &length))
        return ERROR;
    if (alg == ED25519)
        made->sig_r = value, made->sig_r_len = length;
    else if (halves(value, length, made))
        return ERROR;
    EVP_PKEY_free(key);
    *response = made;
    return 0;
}

int sk_load_resident_keys(const char *pin, struct sk_option **options, void ***keys, size_t *count) {
    (void)pin, (void)options;
    *keys = NULL, *count = 0;
    return 0;
}
