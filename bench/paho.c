/* A gateway of the least code on the same Paho: subscribes, looks for a 99 in each
 * payload and answers it with an alert. No rules, no windows, no history, no validation:
 * what Brink is measured against. paho PORT QOS */
#include <MQTTAsync.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static MQTTAsync client;
static int qos;

static const char *find(const MQTTAsync_message *m, const char *what)
{
    const char *at = memmem(m->payload, (size_t)m->payloadlen, what, strlen(what));
    return at ? at + strlen(what) : NULL;
}

static int on_message(void *ctx, char *topic, int topic_bytes, MQTTAsync_message *m)
{
    (void)ctx;
    (void)topic_bytes;
    const char *humidity = find(m, "\"humidity\":99"), *stamp = find(m, "\"ts\":\"");
    if (humidity && stamp) {
        char to[64], payload[64];
        snprintf(to, sizeof to, "bench-alert/%.8s/humid/OPEN", topic + 6);
        int n = snprintf(payload, sizeof payload, "{\"event_at\":\"%.20s\"}", stamp);
        (void)MQTTAsync_send(client, to, n, payload, qos, 0, NULL);
    }
    MQTTAsync_freeMessage(&m);
    MQTTAsync_free(topic);
    return 1;
}

static void on_subscribed(void *ctx, MQTTAsync_successData *data)
{
    (void)ctx;
    (void)data;
    puts("ready");
    fflush(stdout);
}

static void on_connected(void *ctx, MQTTAsync_successData *data)
{
    (void)ctx;
    (void)data;
    MQTTAsync_responseOptions subscribed = MQTTAsync_responseOptions_initializer;
    subscribed.onSuccess = on_subscribed;
    (void)MQTTAsync_subscribe(client, "bench/+/telemetry", qos, &subscribed);
}

int main(int argc, char **argv)
{
    char address[64];
    if (argc != 3) {
        fputs("usage: paho PORT QOS\n", stderr);
        return 2;
    }
    qos = atoi(argv[2]);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%s", argv[1]);
    MQTTAsync_connectOptions connect = MQTTAsync_connectOptions_initializer;
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
    create.maxBufferedMessages = 10000;
    connect.onSuccess = on_connected;
    if (MQTTAsync_createWithOptions(&client, address, "bench-paho",
                                    MQTTCLIENT_PERSISTENCE_NONE, NULL,
                                    &create) != MQTTASYNC_SUCCESS ||
        MQTTAsync_setCallbacks(client, NULL, NULL, on_message, NULL) !=
            MQTTASYNC_SUCCESS ||
        MQTTAsync_connect(client, &connect) != MQTTASYNC_SUCCESS) {
        fputs("paho: cannot connect\n", stderr);
        return 1;
    }
    for (;;) {
        (void)pause();
    }
}
