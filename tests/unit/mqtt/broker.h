/* A real mosquitto on a free loopback port, and clients of ours that a test drives by
 * waiting. Every wait is bounded; what does not come in time fails the test. */
#ifndef BRINK_TEST_BROKER_H
#define BRINK_TEST_BROKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "mqtt/client.h"

#define WAIT_MS 15000

struct broker {
    char dir[64]; /* everything of this test lies here */
    unsigned port;
    char url[64]; /* mqtt://127.0.0.1:port */
    pid_t pid;
};

unsigned free_port(void);
/* A folder and a configuration: a plain listener (scheme "mqtt") or one whose lines,
 * after "listener PORT 127.0.0.1", follow. "%s" in lines stands for the folder. */
void broker_prepare(struct broker *b, const char *scheme, const char *lines);
void broker_start(struct broker *b);            /* returns once it takes connections */
void broker_kill(struct broker *b, int signal); /* returns once it is gone */
/* The one connection of this process to it can send no more, and only that. */
void broker_break_sending(const struct broker *b);
void broker_finish(struct broker *b); /* and its folder */
void write_file(const char *dir, const char *name, const char *text);

struct peer_message {
    char *topic, *payload;
    int qos;
    bool retained;
};

struct peer {
    struct mqtt_client *client;
    int wake_fd;
    struct mqtt_event events[512];
    size_t n_events;
    pthread_mutex_t lock;
    pthread_cond_t unblocked;
    bool blocked;              /* on_message waits while this holds */
    bool reluctant;            /* a message joins others only when asked a second time */
    bool asked;                /* of Paho's thread, as the rest of these */
    size_t n_joined, n_strays; /* messages that came without having joined */
    struct peer_message messages[8192];
    size_t n_messages;
};

struct peer *peer_new(const struct mqtt_options *options);
void peer_free(struct peer *p, int64_t timeout_us);
void peer_block(struct peer *p, bool blocked);
/* One turn: waits until something happens or ms passed. */
void peer_turn(struct peer *p, int ms);
size_t peer_count(struct peer *p); /* messages */
size_t peer_events(const struct peer *p, enum mqtt_event_kind kind);
const struct mqtt_event *peer_event(const struct peer *p, enum mqtt_event_kind kind,
                                    size_t nth);
void peer_await_events(struct peer *p, enum mqtt_event_kind kind, size_t n);
void peer_await_messages(struct peer *p, size_t n);
void peer_subscribe(struct peer *p, const char *filter,
                    int qos); /* and waits for the answer */
/* Publishes and waits for the answer. */
void peer_publish(struct peer *p, const char *topic, const char *payload, int qos,
                  bool retain);
struct mqtt_options peer_options(const char *const *url, const char *client_id,
                                 int version);

#endif
