/* Settings of librdkafka clients, in three layers, and what the clients have to say. */
#include "stream/kafka_handles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/nearest.h"

enum { SESSION_MS = 30000, HEARTBEAT_MS_MAX = 3000 };

/* Nagle off: an answer would wait 40 ms for its acknowledgement. The retry pause is what the next
 * transaction waits for after a commit, as its markers are still being written: 100 ms if left
 * alone. */
static const struct oz_kafka_setting default_all[] = {{"socket.nagle.disable", "true"},
                                                      {"retry.backoff.ms", "10"},
                                                      {"reconnect.backoff.ms", "50"},
                                                      {"reconnect.backoff.max.ms", "2000"},
                                                      {"log.connection.close", "false"}};

/* The queue lengths were measured: below 300,000 records a partition's fetcher starves the
 * engine. */
static const struct oz_kafka_setting default_consumer[] = {
    {"queued.min.messages", "300000"},          {"fetch.wait.max.ms", "50"},
    {"fetch.error.backoff.ms", "50"},           {"session.timeout.ms", "30000"},
    {"max.poll.interval.ms", "300000"},         {"check.crcs", "false"},
    {"partition.assignment.strategy", "range"}, {"topic.metadata.refresh.interval.ms", "60000"}};

static const struct oz_kafka_setting default_producer[] = {
    {"linger.ms", "5"},
    {"compression.type", "lz4"},
    {"batch.size", "1000000"},
    {"batch.num.messages", "10000"},
    {"partitioner", "murmur2_random"},
    {"queue.buffering.max.messages", "2000000"},
    {"queue.buffering.max.kbytes", "262144"}};

/* What the engine must decide, and the reason a user gets when the file sets it. */
static const struct {
    const char *key, *why;
} owned_name[] = {
    {"group.id", "it follows from the pipeline's name"},
    {"group.instance.id", "set instance: instead"},
    {"transactional.id", "it follows from the pipeline's name and instance:"},
    {"enable.auto.commit", "offsets are committed with the epoch"},
    {"auto.commit.enable", "offsets are committed with the epoch"},
    {"enable.auto.offset.store", "offsets are committed with the epoch"},
    {"isolation.level", "it follows from delivery:"},
    {"enable.idempotence", "delivery: rests on it"},
    {"enable.partition.eof", "the merge of partitions rests on it"},
    {"auto.offset.reset", "set start: instead; a lost offset is never passed over"},
    {"allow.auto.create.topics", "topics are created by `ouzel topics --create` only"},
    {"delivery.report.only.error", "the engine looks at failed deliveries only"},
};

const char *oz_kafka_bootstrap(const struct oz_kafka_config *config)
{
    const char *found = "(no bootstrap.servers)";
    for (size_t i = 0; i < config->n_settings; i++) {
        const char *key = config->setting[i].key;
        if (!strcmp(key, "bootstrap.servers") || !strcmp(key, "metadata.broker.list"))
            found = config->setting[i].value;
    }
    return found;
}

bool oz_kafka_has(const struct oz_kafka_config *config, const char *key)
{
    for (size_t i = 0; i < config->n_settings; i++)
        if (!strcmp(config->setting[i].key, key)) return true;
    return false;
}

int oz_kafka_setting_ms(const struct oz_kafka_config *config, const char *key, int otherwise)
{
    for (size_t i = 0; i < config->n_settings; i++)
        if (!strcmp(config->setting[i].key, key)) otherwise = atoi(config->setting[i].value);
    return otherwise;
}

/* True when this line may go out; counts those that may not. */
static bool within_rate(struct oz_kafka_link *link)
{
    int64_t now_us = oz_monotonic_us();
    int64_t since_us = __atomic_load_n(&link->log_since_us, __ATOMIC_RELAXED);
    if (now_us - since_us > OZ_KAFKA_LOG_SPAN_US &&
        __atomic_compare_exchange_n(&link->log_since_us, &since_us, now_us, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
        uint32_t n = __atomic_exchange_n(&link->n_silenced, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&link->n_logged, 0, __ATOMIC_RELAXED);
        if (n) oz_warn("kafka %s: %u more lines of the client were left out", link->what, n);
    }
    if (__atomic_fetch_add(&link->n_logged, 1, __ATOMIC_RELAXED) < OZ_KAFKA_LOG_LINES) return true;
    __atomic_fetch_add(&link->n_silenced, 1, __ATOMIC_RELAXED);
    return false;
}

/* Connections that fail are said in plain words by on_error(), a transaction's failures are
 * statuses; and what a broker of before 2017 would do with questions about topics, the embedded
 * broker does not. */
static const char *const told_otherwise[] = {"FAIL",   "ERROR",    "FATAL",     "TXNERR",
                                             "GETPID", "ADDPARTS", "AUTOCREATE"};

/* Runs in the client's threads. */
static void on_log(const rd_kafka_t *rk, int syslog_level, const char *facility, const char *text)
{
    struct oz_kafka_link *link = rd_kafka_opaque(rk);
    enum oz_log_level level = syslog_level <= LOG_WARNING  ? OZ_LOG_WARN
                              : syslog_level <= LOG_NOTICE ? OZ_LOG_INFO
                                                           : OZ_LOG_DEBUG;
    for (size_t i = 0; i < OZ_COUNT_OF(told_otherwise); i++)
        if (!strcmp(facility, told_otherwise[i])) level = OZ_LOG_DEBUG;
    /* One map serves consumers and producers: each would warn about the other's settings. */
    if (!strcmp(facility, "CONFWARN") &&
        (strstr(text, "is a consumer property") || strstr(text, "is a producer property")))
        return;
    if (!oz_log_enabled(level) || (level <= OZ_LOG_INFO && !within_rate(link))) return;
    oz_log(level, "kafka %s: %s: %s", link->what, facility, text);
}

/* Runs inside a poll of the client's caller. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct oz_kafka_link *link = opaque;
    snprintf(link->reason, sizeof link->reason, "%s", reason);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char text[OZ_KAFKA_REASON_BYTES];
        link->fatal = rd_kafka_fatal_error(rk, text, sizeof text);
        snprintf(link->reason, sizeof link->reason, "%s", text);
    } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        /* Once, and again when it has been long: an idle source does not notice that it is over. */
        int64_t now_us = oz_monotonic_us();
        if (!link->is_down || now_us - link->down_us > OZ_KAFKA_DOWN_AGAIN_US) {
            char address[OZ_KAFKA_REASON_BYTES] = "?";
            size_t n = sizeof address;
            rd_kafka_conf_get(rd_kafka_conf(rk), "bootstrap.servers", address, &n);
            oz_warn("kafka %s: no broker answers at %s: %s; trying on", link->what, address,
                    reason);
            link->down_us = now_us;
        }
        link->is_down = true;
    } else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL) {
        if (within_rate(link)) oz_warn("kafka %s: a broker refuses us: %s", link->what, reason);
    }
}

void oz_kafka_link_up(struct oz_kafka_link *link)
{
    if (!link->is_down) return;
    link->is_down = false;
    oz_info("kafka %s: a broker answers again", link->what);
}

/* Failed deliveries only. What an abort throws away is no failure. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct oz_kafka_link *link = opaque;
    rd_kafka_resp_err_t code = message->err;
    if (!code || code == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
        code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT || link->delivery)
        return;
    link->delivery = code;
    snprintf(link->delivery_text, sizeof link->delivery_text,
             "a record of %zu bytes could not be written to %s partition %d: %s", message->len,
             rd_kafka_topic_name(message->rkt), message->partition, rd_kafka_err2str(code));
}

/* The names that this librdkafka knows are the first words of the lines in its own table. */
static void find_nearest(const char *key, char *ret_name, size_t cap)
{
    enum { NAMES_MAX = 512, TABLE_BYTES = 1 << 20 };
    const char *name[NAMES_MAX], *nearest = NULL;
    char *rest = NULL, *text = oz_calloc(1, TABLE_BYTES);
    size_t n = 0;
    ret_name[0] = 0;
    FILE *out = text ? fmemopen(text, TABLE_BYTES, "w") : NULL;
    if (out) {
        rd_kafka_conf_properties_show(out);
        (void)fclose(out);
        for (char *line = strtok_r(text, "\n", &rest); line && n < NAMES_MAX;
             line = strtok_r(NULL, "\n", &rest)) {
            size_t word = strcspn(line, " |");
            if (!line[word]) continue;
            line[word] = 0;
            if (strchr(line, '.')) name[n++] = line;
        }
        nearest = oz_nearest(key, strlen(key), name, n);
    }
    if (nearest) snprintf(ret_name, cap, "%s", nearest);
    oz_free(text);
}

static enum oz_status unknown_name(const char *key, struct oz_error *err)
{
    char nearest[OZ_KAFKA_REASON_BYTES];
    find_nearest(key, nearest, sizeof nearest);
    if (nearest[0])
        OZ_FAIL(err, OZ_CONFIG, "kafka: there is no setting named %s; did you mean %s?", key,
                nearest);
    OZ_FAIL(err, OZ_CONFIG, "kafka: there is no setting named %s; those of librdkafka %s are taken",
            key, rd_kafka_version_str());
}

static enum oz_status set(rd_kafka_conf_t *conf, const char *key, const char *value,
                          struct oz_error *err)
{
    char text[OZ_KAFKA_REASON_BYTES];
    switch (rd_kafka_conf_set(conf, key, value, text, sizeof text)) {
    case RD_KAFKA_CONF_OK: return OZ_OK;
    case RD_KAFKA_CONF_UNKNOWN: return unknown_name(key, err);
    default: return oz_error_set(err, OZ_CONFIG, "kafka: %s: %s", key, text);
    }
}

static enum oz_status set_user(rd_kafka_conf_t *conf, const struct oz_kafka_setting *setting,
                               struct oz_error *err)
{
    for (size_t i = 0; i < OZ_COUNT_OF(owned_name); i++)
        if (!strcmp(setting->key, owned_name[i].key))
            return oz_error_set(err, OZ_CONFIG, "kafka: %s is set by the engine: %s", setting->key,
                                owned_name[i].why);
    return set(conf, setting->key, setting->value, err);
}

/* The defaults are names that this librdkafka knows: one it refuses is a defect. */
static void set_defaults(rd_kafka_conf_t *conf, const struct oz_kafka_setting *setting, size_t n)
{
    struct oz_error err;
    for (size_t i = 0; i < n; i++)
        if (set(conf, setting[i].key, setting[i].value, &err) != OZ_OK)
            oz_warn("%s; the client's own default stays", err.message);
}

/* The client's own 3 s would lose a short session for want of one heartbeat. */
static enum oz_status set_heartbeat(rd_kafka_conf_t *conf, const struct oz_kafka_config *config,
                                    struct oz_error *err)
{
    char text[16];
    int session_ms = oz_kafka_setting_ms(config, "session.timeout.ms", SESSION_MS);
    if (oz_kafka_has(config, "heartbeat.interval.ms")) return OZ_OK;
    snprintf(text, sizeof text, "%d", OZ_MIN(OZ_MAX(session_ms / 3, 1), HEARTBEAT_MS_MAX));
    return set(conf, "heartbeat.interval.ms", text, err);
}

enum oz_status oz_kafka_conf(const struct oz_kafka_config *config, enum oz_kafka_role role,
                             const struct oz_kafka_setting *owned, struct oz_kafka_link *link,
                             rd_kafka_conf_t **ret_conf, struct oz_error *err)
{
    enum oz_status status = OZ_OK;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!conf) return oz_no_memory(err);

    set_defaults(conf, default_all, OZ_COUNT_OF(default_all));
    if (role == OZ_KAFKA_PRODUCER)
        set_defaults(conf, default_producer, OZ_COUNT_OF(default_producer));
    else
        set_defaults(conf, default_consumer, OZ_COUNT_OF(default_consumer));
    if (config->client_id) OZ_TRY_OUT(set(conf, "client.id", config->client_id, err));

    for (size_t i = 0; i < config->n_settings; i++)
        OZ_TRY_OUT(set_user(conf, &config->setting[i], err));

    if (role == OZ_KAFKA_PRODUCER) {
        OZ_TRY_OUT(set(conf, "enable.idempotence", "true", err));
        OZ_TRY_OUT(set(conf, "delivery.report.only.error", "true", err));
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    } else {
        OZ_TRY_OUT(set_heartbeat(conf, config, err));
        OZ_TRY_OUT(set(conf, "enable.auto.commit", "false", err));
        OZ_TRY_OUT(set(conf, "enable.auto.offset.store", "false", err));
        OZ_TRY_OUT(set(conf, "allow.auto.create.topics", "false", err));
        OZ_TRY_OUT(set(conf, "auto.offset.reset", "error", err));
        OZ_TRY_OUT(set(conf, "enable.partition.eof", "true", err));
        if (role == OZ_KAFKA_ASKER)
            OZ_TRY_OUT(set(conf, "isolation.level", "read_uncommitted", err));
    }
    for (; owned && owned->key; owned++) OZ_TRY_OUT(set(conf, owned->key, owned->value, err));

    rd_kafka_conf_set_opaque(conf, link);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    *ret_conf = conf;
    return OZ_OK;
out:
    rd_kafka_conf_destroy(conf);
    return status;
}

enum oz_status oz_kafka_client_new(enum oz_kafka_role role, rd_kafka_conf_t *conf,
                                   rd_kafka_t **ret_rk, struct oz_error *err)
{
    char text[OZ_KAFKA_REASON_BYTES];
    rd_kafka_type_t type = role == OZ_KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER;
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        OZ_FAIL(err, OZ_CONFIG, "kafka: %s", text);
    }
    *ret_rk = rk;
    return OZ_OK;
}

enum oz_status oz_kafka_client_open(const struct oz_kafka_config *config, enum oz_kafka_role role,
                                    const struct oz_kafka_setting *owned,
                                    struct oz_kafka_link *link, rd_kafka_t **ret_rk,
                                    struct oz_error *err)
{
    rd_kafka_conf_t *conf;
    OZ_TRY(oz_kafka_conf(config, role, owned, link, &conf, err));
    return oz_kafka_client_new(role, conf, ret_rk, err);
}

enum oz_status oz_kafka_check_settings(const struct oz_kafka_config *config, size_t *ret_bad,
                                       struct oz_error *err)
{
    enum oz_status status = OZ_OK;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!conf) return oz_no_memory(err);
    bool has_address = false;
    for (size_t i = 0; i < config->n_settings; i++) {
        const char *key = config->setting[i].key;
        has_address |= !strcmp(key, "bootstrap.servers") || !strcmp(key, "metadata.broker.list");
        *ret_bad = i;
        OZ_TRY_OUT(set_user(conf, &config->setting[i], err));
    }
    *ret_bad = config->n_settings;
    if (!has_address)
        status = oz_error_set(err, OZ_CONFIG,
                              "kafka: bootstrap.servers is missing: the address of "
                              "one or more brokers, as host:port");
out:
    rd_kafka_conf_destroy(conf);
    return status;
}

bool oz_kafka_passes(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__IN_PROGRESS:
    case RD_KAFKA_RESP_ERR__PARTIAL:
    case RD_KAFKA_RESP_ERR__RETRY:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR__NODE_UPDATE:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH: return true;
    default: return false;
    }
}

enum oz_status oz_kafka_error(rd_kafka_error_t *error, const char *what, struct oz_error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    enum oz_status status = OZ_BROKER;
    if (rd_kafka_error_is_fatal(error)) {
        bool fenced = code == RD_KAFKA_RESP_ERR__FENCED ||
                      code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
                      code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
                      code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
        status = fenced ? OZ_FENCED : OZ_BROKER;
    } else if (rd_kafka_error_txn_requires_abort(error)) {
        /* What is forbidden stays so: no abort helps. */
        bool forbidden = code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
                         code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
                         code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        status = forbidden ? OZ_BROKER : OZ_ABORT;
    } else if (rd_kafka_error_is_retriable(error)) {
        status = OZ_RETRY;
    }
    oz_error_set(err, status, "%s: %s (%s)", what, rd_kafka_error_string(error),
                 rd_kafka_error_name(error));
    rd_kafka_error_destroy(error);
    return status;
}
