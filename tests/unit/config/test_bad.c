/* What brink check says of bad files: the whole of its output, for one mistake each. */
#include <check.h>
#include <stdlib.h>

#include "config/address.h"
#include "util.h"

#define GATEWAY "gateway: {id: gw, state_dir: /s}\n"
#define TELEMETRY "telemetry: [{topic: 't/{device}'}]\n"
#define RULES_NONE "rules: []\n"
#define BASE GATEWAY TELEMETRY RULES_NONE

enum kind { CONFIG, RULES };

static const struct bad {
    enum kind kind;
    const char *yaml, *output;
} bad[] = {
    {CONFIG, "",
     "c.yaml: `telemetry` is missing\n"
     "c.yaml: `gateway.state_dir` is missing, and $STATE_DIRECTORY is not set\n"},
    {CONFIG, "# nothing\n",
     "c.yaml: `telemetry` is missing\n"
     "c.yaml: `gateway.state_dir` is missing, and $STATE_DIRECTORY is not set\n"},
    {CONFIG, "- a\n",
     "c.yaml:1:1: a configuration is a mapping of keys and values, such as `mqtt:`\n"},
    {CONFIG, "just text\n",
     "c.yaml:1:1: a configuration is a mapping of keys and values, such as `mqtt:`\n"},
    {CONFIG, "a: [1, 2\n",
     "c.yaml:2:1: did not find expected ',' or ']' while parsing a flow sequence that "
     "begins at 1:4\n"},
    {CONFIG, "a: {b: c\n",
     "c.yaml:2:1: did not find expected ',' or '}' while parsing a flow mapping that "
     "begins at 1:4; a text that begins with { must be quoted\n"},
    {CONFIG, "a: b: c\n", "c.yaml:1:5: mapping values are not allowed in this context\n"},
    {CONFIG,
     BASE "mqtt:\n"
          "	qos: 1\n",
     "c.yaml:5:1: found character that cannot start any token; a tab cannot indent, use "
     "spaces\n"},
    {CONFIG, BASE "a: \"open\n",
     "c.yaml:5:1: found unexpected end of stream while scanning a quoted scalar that "
     "begins at 4:4\n"},
    {CONFIG, BASE "log: {level: \"\\q\"}\n",
     "c.yaml:4:15: found unknown escape character while parsing a quoted scalar that "
     "begins at 4:14\n"},
    {CONFIG,
     BASE "--- \n"
          "log: {}\n",
     "c.yaml:4:1: a second document begins here; one file holds one document\n"},
    {CONFIG, BASE "a: *x\n",
     "c.yaml:4:1: unknown key `a`\n"
     "c.yaml:4:4: `*x` is a YAML alias, which is not supported: write the value out, or "
     "quote a text that begins with *\n"},
    {CONFIG, BASE "log: {level: *x}\n",
     "c.yaml:4:14: `*x` is a YAML alias, which is not supported: write the value out, or "
     "quote a text that begins with *\n"},
    {CONFIG, BASE "log: &a {level: info}\n",
     "c.yaml:4:6: `&a` is a YAML anchor, which is not supported: quote a text that "
     "begins with &\n"},
    {CONFIG,
     BASE "mqtt:\n"
          "  password: &secret\n",
     "c.yaml:5:13: `&secret` is a YAML anchor, which is not supported: quote a text that "
     "begins with &\n"},
    {CONFIG, BASE "log: {level: !x info}\n",
     "c.yaml:4:14: YAML tags are not supported: quote a text that begins with !\n"},
    {CONFIG,
     BASE "log:\n"
          "  <<: {level: info}\n",
     "c.yaml:5:3: merge keys (`<<`) are not supported\n"},
    {CONFIG,
     BASE "? [a, b]\n"
          ": c\n",
     "c.yaml:4:3: a key must be a plain text, not a list\n"},
    {CONFIG, BASE "log: {level: `x}\n",
     "c.yaml:4:14: found character that cannot start any token; put the text in "
     "quotes\n"},
    {CONFIG, BASE "log: {level: @x}\n",
     "c.yaml:4:14: found character that cannot start any token; put the text in "
     "quotes\n"},
    {CONFIG, GATEWAY TELEMETRY "rules: [*.yaml]\n",
     "c.yaml:3:10: did not find expected alphabetic or numeric character while scanning "
     "an alias that begins at 3:9; a text that begins with * must be quoted\n"},
    {CONFIG, BASE "mqtt: {client_id: \"a\\0b\"}\n",
     "c.yaml:4:20: `mqtt.client_id` must not hold control characters\n"},
    {CONFIG, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
     "c.yaml:1:33: more than 32 lists and mappings inside one another\n"},
    {CONFIG, "a: a: a: \n",
     "c.yaml:1:5: mapping values are not allowed in this context\n"},
    {CONFIG,
     "a:\n"
     "- b:\n"
     "  - c:\n"
     "    - {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: "
     "{a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: "
     "1}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}\n",
     "c.yaml:4:111: more than 32 lists and mappings inside one another\n"},
    {CONFIG, BASE "mqtt: {keepalive: 30s}\n",
     "c.yaml:4:8: unknown key `keepalive` in `mqtt`, did you mean `keep_alive`?\n"},
    {CONFIG, BASE "mqtt: {kep_alive: 30s}\n",
     "c.yaml:4:8: unknown key `kep_alive` in `mqtt`, did you mean `keep_alive`?\n"},
    {CONFIG, BASE "mqttt: {}\n",
     "c.yaml:4:1: unknown key `mqttt`, did you mean `mqtt`?\n"},
    {CONFIG, BASE "frobnicate: 1\n", "c.yaml:4:1: unknown key `frobnicate`\n"},
    {CONFIG, BASE "log: {level: info, level: debug}\n",
     "c.yaml:4:20: duplicate key `level`, first given at 4:7\n"},
    {CONFIG,
     BASE "log: {}\n"
          "log: {}\n",
     "c.yaml:5:1: duplicate key `log`, first given at 4:1\n"},
    {CONFIG, BASE "mqtt: {tls: {ca: x}}\n",
     "c.yaml:4:13: warning: `mqtt.tls` has no effect: no server begins with mqtts:// or "
     "wss://\n"
     "c.yaml:4:14: unknown key `ca` in `mqtt.tls`\n"},
    {CONFIG, BASE "mqtt: {pasword_file: x}\n",
     "c.yaml:4:8: unknown key `pasword_file` in `mqtt`, did you mean `password_file`?\n"},
    {CONFIG, BASE "alerts: {storm: {alerts: 100}}\n",
     "c.yaml:4:17: `alerts.storm.within` is missing\n"},
    {CONFIG, BASE "alerts: {storm: {alert: 5, alerts: 0, within: 10ms}}\n",
     "c.yaml:4:18: unknown key `alert` in `alerts.storm`, did you mean `alerts`?\n"
     "c.yaml:4:36: `alerts.storm.alerts` must be from 1 to 1000000, not `0`\n"
     "c.yaml:4:47: `alerts.storm.within` must be from 1s to 1d, not `10ms`\n"},
    {CONFIG, BASE "alerts: {storm: 100}\n",
     "c.yaml:4:17: `alerts.storm` must be a mapping of keys and values, not `100`\n"},
    {CONFIG, BASE "log: text\n",
     "c.yaml:4:6: `log` must be a mapping of keys and values, not `text`\n"},
    {CONFIG, BASE "log: [a]\n",
     "c.yaml:4:6: `log` must be a mapping of keys and values, not a list\n"},
    {CONFIG, BASE "mqtt: {servers: mqtt://a}\n",
     "c.yaml:4:17: `mqtt.servers` must be a list, not `mqtt://a`\n"},
    {CONFIG, BASE "mqtt: {inbox: many}\n",
     "c.yaml:4:15: `mqtt.inbox` must be a whole number, not `many`\n"},
    {CONFIG, BASE "mqtt: {inbox: 1.5}\n",
     "c.yaml:4:15: `mqtt.inbox` must be a whole number, not `1.5`\n"},
    {CONFIG, BASE "mqtt: {inbox: \"5\"}\n",
     "c.yaml:4:16: `mqtt.inbox` must be a whole number, not the text \"5\"\n"},
    {CONFIG, BASE "mqtt: {inbox: [5]}\n",
     "c.yaml:4:15: `mqtt.inbox` must be a whole number, not a list\n"},
    {CONFIG, BASE "mqtt: {inbox: -1}\n",
     "c.yaml:4:15: `mqtt.inbox` must be from 0 to 1000000, not `-1`\n"},
    {CONFIG, BASE "mqtt: {inbox: 99999999999999999999}\n",
     "c.yaml:4:15: `mqtt.inbox` must be from 0 to 1000000, not `99999999999999999999`\n"},
    {CONFIG, BASE "mqtt: {inbox: 1000001}\n",
     "c.yaml:4:15: `mqtt.inbox` must be from 0 to 1000000, not `1000001`\n"},
    {CONFIG, BASE "mqtt: {keep_alive: soon}\n",
     "c.yaml:4:20: `mqtt.keep_alive` must be a duration such as 250ms, 30s, 5m, 2h or "
     "7d, not `soon`\n"},
    {CONFIG, BASE "mqtt: {keep_alive: 5min}\n",
     "c.yaml:4:20: `mqtt.keep_alive` must be a duration such as 250ms, 30s, 5m, 2h or "
     "7d, not `5min`\n"},
    {CONFIG, BASE "mqtt: {keep_alive: 0}\n",
     "c.yaml:4:20: `mqtt.keep_alive` must be from 1s to 18h, not `0`\n"},
    {CONFIG, BASE "mqtt: {keep_alive: 19h}\n",
     "c.yaml:4:20: `mqtt.keep_alive` must be from 1s to 18h, not `19h`\n"},
    {CONFIG, BASE "mqtt: {keep_alive: -5s}\n",
     "c.yaml:4:20: `mqtt.keep_alive` must be from 1s to 18h, not `-5s`\n"},
    {CONFIG, BASE "mqtt: {tls: {insecure: yes}, servers: ['mqtts://h']}\n",
     "c.yaml:4:24: `mqtt.tls.insecure` must be true or false, not `yes`\n"},
    {CONFIG, BASE "mqtt: {tls: {insecure: \"true\"}, servers: ['wss://h/x']}\n",
     "c.yaml:4:25: `mqtt.tls.insecure` must be true or false, not the text \"true\"\n"},
    {CONFIG, BASE "mqtt: {client_id: [a]}\n",
     "c.yaml:4:19: `mqtt.client_id` must be a text, not a list\n"},
    {CONFIG, BASE "mqtt: {client_id: \"\"}\n",
     "c.yaml:4:20: `mqtt.client_id` must not be empty\n"},
    {CONFIG, BASE "mqtt: {client_id: \"a\\tb\"}\n",
     "c.yaml:4:20: `mqtt.client_id` must not hold control characters\n"},
    {CONFIG, BASE "mqtt: {password: {a: b}}\n",
     "c.yaml:4:18: `mqtt.password` must be a text, not a mapping\n"},
    {CONFIG, BASE "mqtt: {version: 4}\n",
     "c.yaml:4:17: `mqtt.version` must be 5 or 3.1.1, not `4`\n"},
    {CONFIG, BASE "log: {level: loud}\n",
     "c.yaml:4:14: `log.level` must be error, warning, info or debug, not `loud`\n"},
    {CONFIG, BASE "log: {format: {}}\n",
     "c.yaml:4:15: `log.format` must be text, json or journal, not a mapping\n"},
    {CONFIG, BASE "store: {fallback: disk}\n",
     "c.yaml:4:19: `store.fallback` must be none or memory, not `disk`\n"},
    {CONFIG, BASE "store: {timeout: 2m}\n",
     "c.yaml:4:18: `store.timeout` must be from 1ms to 1m, not `2m`\n"},
    {CONFIG, BASE "limits: {devices: 0}\n",
     "c.yaml:4:19: `limits.devices` must be from 1 to 10000000, not `0`\n"},
    {CONFIG, BASE "limits: {payload_bytes: 64KiB}\n",
     "c.yaml:4:25: `limits.payload_bytes` must be a whole number, not `64KiB`\n"},
    {CONFIG, BASE "limits: {forget_after: 10s}\n",
     "c.yaml:4:24: `limits.forget_after` must be from 1m to 3650d, not `10s`\n"},
    {CONFIG, BASE "alerts: {qos: 3}\n",
     "c.yaml:4:15: `alerts.qos` must be from 0 to 2, not `3`\n"},
    {CONFIG, BASE "alerts: {retain: 1}\n",
     "c.yaml:4:18: `alerts.retain` must be true or false, not `1`\n"},
    {CONFIG, GATEWAY TELEMETRY "rules: [[a]]\n",
     "c.yaml:3:9: `rules[0]` must be a text, not a list\n"},
    {CONFIG, GATEWAY TELEMETRY "rules: [{a: b}]\n",
     "c.yaml:3:9: `rules[0]` must be a text, not a mapping\n"},
    {CONFIG, BASE "mqtt: {servers: []}\n",
     "c.yaml:4:17: `mqtt.servers` is an empty list: name one or leave the key out\n"},
    {CONFIG, BASE "mqtt: {servers: [null]}\n",
     "c.yaml:4:18: `mqtt.servers[0]` must be a text, not nothing\n"},
    {CONFIG, BASE "mqtt: {servers: ['tcp://h:1883']}\n",
     "c.yaml:4:19: not the address of an MQTT server: it must begin with mqtt://, "
     "mqtts://, ws:// or wss://\n"},
    {CONFIG, BASE "mqtt: {servers: ['mqtt://u:p@h']}\n",
     "c.yaml:4:19: not the address of an MQTT server: no credentials here, use "
     "`mqtt.username` and `mqtt.password_file`\n"},
    {CONFIG, BASE "mqtt: {servers: ['mqtt://']}\n",
     "c.yaml:4:19: not the address of an MQTT server: the host is missing\n"},
    {CONFIG, BASE "mqtt: {servers: ['mqtt://h:0']}\n",
     "c.yaml:4:19: not the address of an MQTT server: the port must be a number from 1 "
     "to 65535\n"},
    {CONFIG, BASE "mqtt: {servers: ['mqtt://h:70000', 'mqtt://[::1', 'mqtt://h/x']}\n",
     "c.yaml:4:19: not the address of an MQTT server: the port must be a number from 1 "
     "to 65535\n"
     "c.yaml:4:37: not the address of an MQTT server: an IPv6 address in brackets was "
     "expected\n"
     "c.yaml:4:52: not the address of an MQTT server: a path has a meaning with ws:// "
     "and wss:// only\n"},
    {CONFIG, BASE "mqtt: {tls: {key_file: /dev/null}, servers: ['mqtts://h']}\n",
     "c.yaml:4:24: `mqtt.tls.key_file` needs `mqtt.tls.cert_file`\n"},
    {CONFIG, BASE "mqtt: {tls: {ca_file: missing.pem}, servers: ['mqtts://h']}\n",
     "c.yaml:4:23: `missing.pem` cannot be read: No such file or directory\n"},
    {CONFIG, BASE "mqtt: {tls: {}}\n",
     "c.yaml:4:13: warning: `mqtt.tls` has no effect: no server begins with mqtts:// or "
     "wss://\n"},
    {CONFIG, BASE "mqtt: {version: 3.1.1, password: x}\n",
     "c.yaml:4:34: with version 3.1.1 a password needs `mqtt.username`\n"},
    {CONFIG, BASE "mqtt: {status_topic: 'a/{tenant}'}\n",
     "c.yaml:4:25: `mqtt.status_topic`: unknown {name}\n"},
    {CONFIG, BASE "mqtt: {status_topic: 'a/#'}\n",
     "c.yaml:4:25: `mqtt.status_topic`: wildcards + and # cannot stand here\n"},
    {CONFIG, BASE "mqtt: {password: a, password_file: b}\n",
     "c.yaml:4:21: `mqtt.password` and `mqtt.password_file` are both given: keep one\n"},
    {CONFIG, BASE "mqtt: {password_file: missing}\n",
     "c.yaml:4:23: `missing` cannot be read: No such file or directory\n"},
    {CONFIG, BASE "mqtt: {password_file: /}\n",
     "c.yaml:4:23: `/` cannot be read: Is a directory\n"},
    {CONFIG, BASE "mqtt: {password_file: /dev/null}\n",
     "c.yaml:4:23: `/dev/null` is empty\n"},
    {CONFIG, "telemetry: [{topic: 't/{device}'}]\n",
     "c.yaml: `gateway.state_dir` is missing, and $STATE_DIRECTORY is not set\n"
     "c.yaml: warning: `rules` is missing: nothing will be evaluated\n"},
    {CONFIG,
     "gateway: {id: a}\n"
     "telemetry: [{topic: 't/{device}'}]\n",
     "c.yaml: warning: `rules` is missing: nothing will be evaluated\n"
     "c.yaml:1:10: `gateway.state_dir` is missing, and $STATE_DIRECTORY is not set\n"},
    {CONFIG, GATEWAY RULES_NONE "", "c.yaml:1:1: `telemetry` is missing\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: []\n",
     "c.yaml:3:12: `telemetry` is empty: name a topic to subscribe to\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: {topic: x}\n",
     "c.yaml:3:12: `telemetry` must be a list, not a mapping\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [x]\n",
     "c.yaml:3:13: `telemetry[0]` must be a mapping of keys and values, not `x`\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [{qos: 1}]\n",
     "c.yaml:3:13: `telemetry.topic` is missing\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [{topic: 'a/b'}]\n",
     "c.yaml:3:22: `telemetry.topic`: no {device}\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [{topic: 'a/+/{device}'}]\n",
     "c.yaml:3:22: `telemetry.topic`: wildcards + and # cannot stand here\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [{topic: 'a/x{device}'}]\n",
     "c.yaml:3:22: `telemetry.topic`: a {name} must be a whole level\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [{topic: '$share/g/{device}'}]\n",
     "c.yaml:3:22: `telemetry.topic`: a shared subscription ($share) cannot stand "
     "here\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [{topic: '{device}/{device}'}]\n",
     "c.yaml:3:22: `telemetry.topic`: a {name} stands twice\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [{topic: 'a/{device}', metrics: metrics}]\n",
     "c.yaml:3:44: `telemetry.metrics` must be a JSON Pointer such as /data/metrics, or "
     "\"\" for the whole payload\n"},
    {CONFIG,
     GATEWAY RULES_NONE
     "telemetry: [{topic: 'a/{device}', timestamp: /a~2, site: [x], seq: 5}]\n",
     "c.yaml:3:46: `telemetry.timestamp` must be a JSON Pointer such as /data/metrics, "
     "or \"\" for the whole payload\n"
     "c.yaml:3:58: `telemetry.site` must be a JSON Pointer such as /data/metrics, or "
     "\"\" for the whole payload\n"
     "c.yaml:3:68: `telemetry.seq` must be a JSON Pointer such as /data/metrics, or \"\" "
     "for the whole payload\n"},
    {CONFIG,
     GATEWAY RULES_NONE "telemetry: [{topic: 'a/{device}', values: {ON: yes, OFF: 0}}]\n",
     "c.yaml:3:48: `telemetry.values.ON` must be a number, not `yes`\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [{topic: 'a/{device}', values: [ON]}]\n",
     "c.yaml:3:43: `telemetry.values` must be a mapping of keys and values, not a "
     "list\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [{topic: 'a/{device}', format: value}]\n",
     "c.yaml:3:13: format: value needs the metric's name: {metric} in the topic, or the "
     "key `metric`\n"},
    {CONFIG,
     GATEWAY RULES_NONE
     "telemetry: [{topic: 'a/{device}/{metric}', format: value, metric: t}]\n",
     "c.yaml:3:13: both {metric} in the topic and the key `metric` name the metric: keep "
     "one\n"},
    {CONFIG,
     GATEWAY RULES_NONE "telemetry: [{topic: 'a/{device}', format: heartbeat, metrics: "
                        "/m, metric: x, values: {A: 1}}]\n",
     "c.yaml:3:13: warning: `telemetry.metrics` has no effect with format: heartbeat\n"
     "c.yaml:3:13: warning: `telemetry.metric` has no effect with format: heartbeat\n"
     "c.yaml:3:13: warning: `telemetry.values` has no effect with format: heartbeat\n"},
    {CONFIG, GATEWAY RULES_NONE "telemetry: [{topic: 'a/{device}', retained: keep}]\n",
     "c.yaml:3:45: `telemetry.retained` must be ignore or evaluate, not `keep`\n"},
    {CONFIG,
     GATEWAY RULES_NONE "telemetry:\n"
                        "- {topic: 'a/{device}/x'}\n"
                        "- {topic: 'a/b/{device}'}\n",
     "c.yaml:5:12: the topic `a/b/{device}` overlaps with `a/{device}/x` at 4:12: one "
     "message could be both\n"},
    {CONFIG,
     GATEWAY RULES_NONE "telemetry:\n"
                        "- {topic: 'alerts/{device}/{x}/{y}'}\n",
     "c.yaml:4:12: the topic `alerts/{device}/{x}/{y}` would also take in the alerts "
     "that `alerts.topic` (`alerts/{tenant}/{device}/{rule}`) publishes\n"},
    {CONFIG,
     GATEWAY RULES_NONE "telemetry:\n"
                        "- {topic: 'brink/{device}/status'}\n",
     "c.yaml:4:12: the topic `brink/{device}/status` would also take in "
     "`mqtt.status_topic` (`brink/gw/status`)\n"},
    {CONFIG, BASE "alerts: {topic: 'al/{tenant}/{dev}'}\n",
     "c.yaml:4:30: `alerts.topic`: unknown {name}\n"},
    {CONFIG, BASE "alerts: {topic: 'al/{site}'}\n",
     "c.yaml:4:21: `alerts.topic`: unknown {name}\n"},
    {CONFIG, BASE "alerts: {topic: 'al/+'}\n",
     "c.yaml:4:21: `alerts.topic`: wildcards + and # cannot stand here\n"},
    {CONFIG, BASE "alerts: {topic: ''}\n",
     "c.yaml:4:18: `alerts.topic` must not be empty\n"},
    {CONFIG, BASE "alerts: {topic: 'al/{device}', retain: true}\n",
     "c.yaml:4:40: `alerts.retain` needs {tenant}, {device} and {rule} in "
     "`alerts.topic`, or alerts would overwrite one another\n"},
    {CONFIG, BASE "store: {address: 'localhost:6379'}\n",
     "c.yaml:4:19: `store.address`: it must be memory, or begin with valkey://, "
     "valkeys://, redis://, rediss:// or unix://\n"},
    {CONFIG, BASE "store: {address: 'valkey://u:secret@h'}\n",
     "c.yaml:4:19: `store.address`: no credentials here, use `store.username` and "
     "`store.password_file`\n"},
    {CONFIG, BASE "store: {address: 'valkey://h/x'}\n",
     "c.yaml:4:19: `store.address`: the database must be a number\n"},
    {CONFIG, BASE "store: {address: 'unix:///a?x=1'}\n",
     "c.yaml:4:19: `store.address`: behind the path only ?db=N may stand\n"},
    {CONFIG, BASE "store: {address: 'unix://a'}\n",
     "c.yaml:4:19: `store.address`: the socket's path is missing, as in "
     "unix:///run/valkey/valkey.sock\n"},
    {CONFIG, BASE "store: {username: u}\n",
     "c.yaml:4:8: `store.username` needs `store.password_file` (or `store.password`)\n"},
    {CONFIG, BASE "http: {listen: '9464'}\n",
     "c.yaml:4:17: `http.listen` must be host:port, as in 127.0.0.1:9464: the port is "
     "missing\n"},
    {CONFIG, BASE "http: {listen: 'localhost'}\n",
     "c.yaml:4:17: `http.listen` must be host:port, as in 127.0.0.1:9464: the port is "
     "missing\n"},
    {CONFIG, BASE "http: {listen: 'h:x'}\n",
     "c.yaml:4:17: `http.listen` must be host:port, as in 127.0.0.1:9464: the port must "
     "be a number from 1 to 65535\n"},
    {CONFIG, BASE "http: {token: 'a b'}\n",
     "c.yaml:4:16: `http.token` must be of printable ASCII without spaces\n"},
    {CONFIG, BASE "mqtt: {username: \"${BRINK_TEST_UNSET}\"}\n",
     "c.yaml:4:19: the environment variable `BRINK_TEST_UNSET` is not set\n"},
    {CONFIG,
     BASE "mqtt:\n"
          "  inbox: ${BRINK_TEST_UNSET}\n",
     "c.yaml:5:10: the environment variable `BRINK_TEST_UNSET` is not set\n"},
    {CONFIG, BASE "mqtt: {username: \"a${\"}\n",
     "c.yaml:4:20: `${` begins the name of an environment variable, as in ${NAME}; write "
     "$${ where the text is meant\n"},
    {CONFIG, BASE "mqtt: {username: \"a${1x}${BRINK_TEST_UNSET}\"}\n",
     "c.yaml:4:20: `${` begins the name of an environment variable, as in ${NAME}; write "
     "$${ where the text is meant\n"
     "c.yaml:4:25: the environment variable `BRINK_TEST_UNSET` is not set\n"},
    {CONFIG, GATEWAY TELEMETRY "rules: [no/such.yaml]\n",
     "c.yaml:3:9: there is no file `no/such.yaml`\n"},
    {CONFIG, GATEWAY TELEMETRY "rules: ['no/*.yaml']\n",
     "c.yaml:3:10: warning: no file matches `no/*.yaml`\n"},
    {RULES, "- a\n",
     "r.yaml:1:1: a rule file is a mapping of keys and values, such as `rules:`\n"},
    {RULES, "rule: []\n", "r.yaml:1:1: unknown key `rule`, did you mean `rules`?\n"},
    {RULES, "rules: {id: a}\n", "r.yaml:1:8: `rules` must be a list, not a mapping\n"},
    {RULES, "rules: [x]\n",
     "r.yaml:1:9: `rules[0]` must be a mapping of keys and values, not `x`\n"},
    {RULES, "rules: [{when: a > 1}]\n", "r.yaml:1:9: `id` is missing\n"},
    {RULES, "rules: [{id: 'a b', when: a > 1}]\n",
     "r.yaml:1:15: `id` must be 1 to 100 of A-Z a-z 0-9 . _ -\n"},
    {RULES,
     "rules: [{id: "
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaa}]\n",
     "r.yaml:1:14: `id` must be 1 to 100 of A-Z a-z 0-9 . _ -\n"},
    {RULES, "rules: [{id: a, when: x > 1, sevrity: info}]\n",
     "r.yaml:1:30: unknown key `sevrity`, did you mean `severity`?\n"},
    {RULES, "rules: [{id: a, severity: urgent}]\n",
     "r.yaml:1:27: `severity` must be info, warning or critical, not `urgent`\n"},
    {RULES, "rules: [{id: a, enabled: on}]\n",
     "r.yaml:1:26: `enabled` must be true or false, not `on`\n"},
    {RULES, "rules: [{id: a, for: 5 minutes}]\n",
     "r.yaml:1:22: `for` must be a duration such as 250ms, 30s, 5m, 2h or 7d, not `5 "
     "minutes`\n"},
    {RULES, "rules: [{id: a, for: 400d}]\n",
     "r.yaml:1:22: `for` must be from 0s to 366d, not `400d`\n"},
    {RULES, "rules: [{id: a, for: 1m, duration_minutes: 1}]\n",
     "r.yaml:1:26: `for` and `duration_minutes` are both given: keep one\n"},
    {RULES, "rules: [{id: a, duration_seconds: 1, duration_minutes: 1}]\n",
     "r.yaml:1:38: `duration_seconds` and `duration_minutes` are both given: keep one\n"},
    {RULES, "rules: [{id: a, window_seconds: 5m}]\n",
     "r.yaml:1:33: `window_seconds` must be a number, not `5m`\n"},
    {RULES, "rules: [{id: a, window_seconds: 60, window_minutes: 1}]\n",
     "r.yaml:1:37: `window_seconds` and `window_minutes` are both given: keep one\n"},
    {RULES, "rules: [{id: a, window_count: 0.5}]\n",
     "r.yaml:1:31: `window_count` must be a whole number, not `0.5`\n"},
    {RULES, "rules: [{id: a, rule_type: GAP}]\n",
     "r.yaml:1:28: `rule_type` must be THRESHOLD, WINDOW, ANOMALY, TELEMETRY_GAP or "
     "HEARTBEAT, not `GAP`\n"},
    {RULES, "rules: [{id: a, operator: \"=>\"}]\n",
     "r.yaml:1:28: `operator` must be GT, GTE, LT, LTE, EQ, NE, >, >=, <, <=, == or !=, "
     "not the text \"=>\"\n"},
    {RULES,
     "rules:\n"
     "- id: a\n"
     "  operator: >\n"
     "  threshold: 5\n",
     "r.yaml:3:13: `operator` must be GT, GTE, LT, LTE, EQ, NE, >, >=, <, <=, == or !=; "
     "put quotes around it, a bare > begins a block of text\n"},
    {RULES,
     "rules:\n"
     "- id: a\n"
     "  operator: >=\n"
     "  threshold: 5\n",
     "r.yaml:3:14: did not find expected comment or line break while scanning a block "
     "scalar that begins at 3:13; a text that begins with > or | must be quoted\n"},
    {RULES,
     "rules:\n"
     "- id: a\n"
     "  operator: !=\n",
     "r.yaml:3:13: YAML tags are not supported: quote a text that begins with !\n"},
    {RULES, "rules: [{id: a, threshold: high}]\n",
     "r.yaml:1:28: `threshold` must be a number, not `high`\n"},
    {RULES, "rules: [{id: a, threshold: .nan}]\n",
     "r.yaml:1:28: `threshold` must be a number, not `.nan`\n"},
    {RULES, "rules: [{id: a, threshold: 1e999}]\n",
     "r.yaml:1:28: `threshold` must be from -1e+300 to 1e+300, not `1e999`\n"},
    {RULES, "rules: [{id: a, conditions: {metric_name: x}}]\n",
     "r.yaml:1:29: `conditions` must be a list, not a mapping\n"},
    {RULES, "rules: [{id: a, conditions: [{metric: x, duration_minutes: -1}]}]\n",
     "r.yaml:1:31: unknown key `metric` in `conditions`\n"
     "r.yaml:1:60: `conditions.duration_minutes` must be from 0 to 527040, not `-1`\n"},
    {RULES, "rules: [{id: a, match_mode: some}]\n",
     "r.yaml:1:29: `match_mode` must be all or any, not `some`\n"},
    {RULES, "rules: [{id: a, aggregation: mean}]\n",
     "r.yaml:1:30: `aggregation` must be avg, min, max, sum or count, not `mean`\n"},
    {RULES,
     "rules: [{id: a, z_threshold: 0, min_samples: 0, gap_minutes: 0, timeout_seconds: "
     "0, min_points: 0, repeat: 10ms}]\n",
     "r.yaml:1:30: `z_threshold` must be from 0.01 to 1000, not `0`\n"
     "r.yaml:1:46: `min_samples` must be from 1 to 100000, not `0`\n"
     "r.yaml:1:62: `gap_minutes` must be from 0.01 to 527040, not `0`\n"
     "r.yaml:1:82: `timeout_seconds` must be from 0.1 to 31622400, not `0`\n"
     "r.yaml:1:97: `min_points` must be from 1 to 100000, not `0`\n"
     "r.yaml:1:108: `repeat` must be 0, or from 1s to 366d, not `10ms`\n"},
    {RULES, "rules: [{id: a, scope: {device: [x]}}]\n",
     "r.yaml:1:25: unknown key `device` in `scope`, did you mean `devices`?\n"},
    {RULES, "rules: [{id: a, scope: {devices: x}}]\n",
     "r.yaml:1:34: `scope.devices` must be a list, not `x`\n"},
    {RULES, "rules: [{id: a, scope: {devices: []}}]\n",
     "r.yaml:1:34: `scope.devices` is an empty list: name one or leave the key out\n"},
    {RULES,
     "rules: [{id: a, scope: {groups: [freezer]}}]\n"
     "groups: {freezers: [x]}\n",
     "r.yaml:1:34: no rule file has a group `freezer`, did you mean `freezers`?\n"},
    {RULES, "rules: [{id: a, escalate: {severity: info}}]\n",
     "r.yaml:1:27: `escalate.after` is missing\n"},
    {RULES, "rules: [{id: a, escalate: 30m}]\n",
     "r.yaml:1:27: `escalate` must be a mapping of keys and values, not `30m`\n"},
    {RULES, "rules: [{id: a, on_no_data: ignore}]\n",
     "r.yaml:1:29: `on_no_data` must be hold or resolve, not `ignore`\n"},
    {RULES, "rules: [{id: a, labels: [x]}]\n",
     "r.yaml:1:25: `labels` must be a mapping of keys and values, not a list\n"},
    {RULES, "rules: [{id: a, labels: {x: [y]}}]\n",
     "r.yaml:1:29: `labels.x` must be a text, not a list\n"},
    {RULES, "rules: [{id: a}, {id: b}, {id: a}]\n",
     "r.yaml:1:32: the rule id `a` is there already, at r.yaml:1:14\n"},
    {RULES, "groups: [a]\n",
     "r.yaml:1:9: `groups` must be a mapping of keys and values, not a list\n"},
    {RULES, "groups: {a: x}\n", "r.yaml:1:13: `groups.a` must be a list, not `x`\n"},
    {RULES, "groups: {a: [x], a: [y]}\n",
     "r.yaml:1:18: duplicate key `a`, first given at 1:10\n"},
    {RULES, "metrics: {t: {raw: x}}\n",
     "r.yaml:1:14: `metrics.t` must be a list, not a mapping\n"},
    {RULES, "metrics: {t: [{multiplier: 2}]}\n",
     "r.yaml:1:15: `metrics.raw` is missing\n"},
    {RULES, "metrics: {t: [{raw: x, multiplier: two}]}\n",
     "r.yaml:1:36: `metrics.multiplier` must be a number, not `two`\n"},
    {RULES, "inhibit: {source: a}\n",
     "r.yaml:1:10: `inhibit` must be a list, not a mapping\n"},
    {RULES, "maintenance: [{name: a, from: *x, until: 22:00}]\n",
     "r.yaml:1:31: `*x` is a YAML alias, which is not supported: write the value out, or "
     "quote a text that begins with *\n"},
    {RULES,
     "rules: [{id: a, when: t > 1}]\n"
     "inhibit: [{source: *x, target: [a]}]\n",
     "r.yaml:2:20: `*x` is a YAML alias, which is not supported: write the value out, or "
     "quote a text that begins with *\n"},
    {RULES, "inhibit: [{target: x, equal: site, sources: [a]}]\n",
     "r.yaml:1:11: `inhibit.source` is missing\n"
     "r.yaml:1:20: `inhibit.target` must be a list, not `x`\n"
     "r.yaml:1:30: `inhibit.equal` must be a list, not `site`\n"
     "r.yaml:1:36: unknown key `sources` in `inhibit`, did you mean `source`?\n"},
    {RULES,
     "rules: [{id: power}, {id: hot}]\n"
     "inhibit:\n"
     "- {source: powr, target: [hot, hoot, 'x*'], equal: [site]}\n"
     "- {source: hot, target: [hot], equal: []}\n",
     "r.yaml:3:12: no rule file has a rule `powr`, did you mean `power`?\n"
     "r.yaml:3:32: no rule file has a rule `hoot`, did you mean `hot`?\n"
     "r.yaml:3:39: warning: no rule's id matches `x*`\n"
     "r.yaml:4:26: `hot` cannot hold back its own alerts\n"},
    {RULES,
     "rules: [{id: a}, {id: b}, {id: c}]\n"
     "inhibit:\n"
     "- {source: a, target: [b]}\n"
     "- {source: b, target: [c]}\n"
     "- {source: c, target: ['*']}\n" /* a pattern means b and a no more */
     "- {source: c, target: [b, a]}\n",
     "r.yaml:6:24: `c` cannot hold back `b`, which by the entries before holds back `c`: "
     "while both fire, nothing would be told\n"
     "r.yaml:6:27: `c` cannot hold back `a`, which by the entries before holds back `c`: "
     "while both fire, nothing would be told\n"},
    {RULES, "maintenance: {name: a}\n",
     "r.yaml:1:14: `maintenance` must be a list, not a mapping\n"},
    {RULES, "maintenance: [x]\n",
     "r.yaml:1:15: `maintenance[0]` must be a mapping of keys and values, not `x`\n"},
    {RULES, "maintenance: [{days: [], scope: {}}]\n",
     "r.yaml:1:15: `maintenance.name` is missing\n"
     "r.yaml:1:15: `maintenance.from` is missing\n"
     "r.yaml:1:15: `maintenance.until` is missing\n"
     "r.yaml:1:22: `maintenance.days` is an empty list: name one or leave the key out\n"},
    {RULES, "maintenance: [{name: a, from: 22:00, untill: 06:00}]\n",
     "r.yaml:1:15: `maintenance.until` is missing\n"
     "r.yaml:1:38: unknown key `untill` in `maintenance`, did you mean `until`?\n"},
    {RULES, "maintenance: [{name: a, from: 9:00, until: [x]}]\n",
     "r.yaml:1:31: `maintenance.from` must be a time such as 22:00 (every week) or "
     "2026-12-24T08:00 (once), not `9:00`\n"
     "r.yaml:1:44: `maintenance.until` must be a text, not a list\n"},
    {RULES, "maintenance: [{name: a, from: 24:01, until: 2026-02-29T08:00}]\n",
     "r.yaml:1:31: `maintenance.from` must be a time such as 22:00 (every week) or "
     "2026-12-24T08:00 (once), not `24:01`\n"
     "r.yaml:1:45: `maintenance.until` must be a time such as 22:00 (every week) or "
     "2026-12-24T08:00 (once), not `2026-02-29T08:00`\n"},
    {RULES, "maintenance: [{name: a, from: '22:00 ', until: 2026-12-24}]\n",
     "r.yaml:1:32: `maintenance.from` must be a time such as 22:00 (every week) or "
     "2026-12-24T08:00 (once), not `22:00 `\n"
     "r.yaml:1:48: `maintenance.until` must be a time such as 22:00 (every week) or "
     "2026-12-24T08:00 (once), not `2026-12-24`\n"},
    {RULES, "maintenance: [{name: a, from: 22:00, until: 2026-12-24T08:00}]\n",
     "r.yaml:1:45: `maintenance.from` and `maintenance.until` must both have a date "
     "(once), or both none (every week)\n"},
    {RULES,
     "maintenance: [{name: a, from: 2026-12-24T08:00, until: 2026-12-24T08:00Z}]\n",
     "r.yaml:1:56: `maintenance.from` and `maintenance.until` must both have a zone, or "
     "both none\n"},
    {RULES, "maintenance: [{name: a, from: 2026-12-24T08:00, until: 2026-12-24T08:00}]\n",
     "r.yaml:1:56: `maintenance.until` must be later than `maintenance.from`\n"},
    {RULES,
     "maintenance: [{name: a, from: 2026-12-24T08:00Z, until: "
     "2026-12-24T08:30+01:00}]\n",
     "r.yaml:1:57: `maintenance.until` must be later than `maintenance.from`\n"},
    {RULES,
     "maintenance: [{name: a, from: 2026-12-24T08:00, until: 2026-12-25T08:00, days: "
     "[mon]}]\n",
     "r.yaml:1:80: `maintenance.days` are of a weekly window: take the dates out of "
     "`maintenance.from` and `maintenance.until`\n"},
    {RULES, "maintenance: [{name: a, from: 08:00, until: 08:00}]\n",
     "r.yaml:1:45: `maintenance.until` is the same time as `maintenance.from`; a day "
     "ends "
     "at 24:00\n"},
    {RULES,
     "maintenance: [{name: a, from: 00:00, until: 24:00, days: [mon, mittwoch]}]\n",
     "r.yaml:1:64: a day is mon, tue, wed, thu, fri, sat or sun, not `mittwoch`\n"},
    {RULES,
     "rules: [{id: warm}]\n"
     "maintenance: [{name: a, from: 00:00, until: 24:00, rules: [wram, 'x*', 'w?rm'],\n"
     "  scope: {groups: [g], device: [x]}}]\n",
     "r.yaml:2:60: no rule file has a rule `wram`, did you mean `warm`?\n"
     "r.yaml:2:67: warning: no rule's id matches `x*`\n"
     "r.yaml:3:20: no rule file has a group `g`\n"
     "r.yaml:3:24: unknown key `device` in `scope`, did you mean `devices`?\n"},
    {RULES,
     "maintenance:\n"
     "- {name: a, from: 00:00, until: 24:00, rules: []}\n"
     "- {name: a, from: 00:00, until: 24:00}\n",
     "r.yaml:2:47: `maintenance.rules` is an empty list: name one or leave the key out\n"
     "r.yaml:3:10: the maintenance window `a` is there already, at r.yaml:2:10\n"},
    {RULES, "rules: [{id: a, message: \"x\\x01\"}]\n",
     "r.yaml:1:27: `message` must not hold control characters\n"},
    {RULES,
     "rules:\n"
     "- id: a\n"
     "  when: x > 1\n"
     " - id: b\n",
     "r.yaml:4:2: did not find expected key while parsing a block mapping that begins at "
     "1:1\n"},
};

START_TEST(test_each_mistake_is_told_with_its_place)
{
    const struct bad *b = &bad[_i];
    struct problems problems = {0};
    char *got = b->kind == CONFIG ? check_config(text_of(b->yaml), &problems)
                                  : check_rules(text_of(b->yaml), &problems);
    ck_assert_msg(strcmp(got, b->output) == 0,
                  "\n--- of:\n%s--- expected:\n%s--- got:\n%s", b->yaml, b->output, got);
    free(got);
    problems_finish(&problems);
}
END_TEST

/* Bytes that a table of C strings cannot hold well. */
START_TEST(test_bytes_that_are_no_text_are_told_with_their_place)
{
    const struct {
        struct text yaml;
        const char *output;
    } cases[] = {
        {TEXT("a: \xff\n"), "c.yaml:1:4: not UTF-8 (byte 0xff)\n"},
        {TEXT("a: b\n# \xc3\xa9\xc3\n"), "c.yaml:2:4: not UTF-8 (byte 0xc3)\n"},
        {TEXT("ab: \xc3\xa9 \xed\xa0\x80\n"), "c.yaml:1:7: not UTF-8 (byte 0xed)\n"},
        {TEXT("a: b\0c\n"),
         "c.yaml:1:5: a control character is not allowed (byte 0x00)\n"},
        {TEXT("\0"), "c.yaml:1:1: a control character is not allowed (byte 0x00)\n"},
        {TEXT("a: b\r\n\x1b\n"),
         "c.yaml:2:1: a control character is not allowed (byte 0x1b)\n"},
        {TEXT("a\n\xef\xbb\xbf"),
         "c.yaml:2:1: a control character is not allowed (byte 0xef)\n"},
        {TEXT("a: \xc2\x80"),
         "c.yaml:1:4: a control character is not allowed (byte 0xc2)\n"},
        {TEXT("a: \xf0\x9f\x98"), "c.yaml:1:4: not UTF-8 (byte 0xf0)\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct problems problems = {0};
        char *got = check_config(cases[i].yaml, &problems);
        ck_assert_str_eq(got, cases[i].output);
        free(got);
        problems_finish(&problems);
    }
}
END_TEST

START_TEST(test_tls_to_the_store_is_refused_by_a_build_without_it)
{
    struct problems problems = {0};
    char *got =
        check_config(TEXT(BASE "store: {address: 'valkeys://h:6380/1'}\n"), &problems);
    if (address_store_tls_built()) {
        ck_assert_str_eq(got, "");
    } else {
        ck_assert_str_eq(
            got, "c.yaml:4:19: `store.address`: this build has no TLS to the store "
                 "(it needs hiredis 1.0 or newer with hiredis_ssl); use a unix "
                 "socket, or stunnel\n");
    }
    free(got);
    problems_finish(&problems);
}
END_TEST

START_TEST(test_all_mistakes_of_a_file_are_told_at_once_in_its_order)
{
    struct problems problems = {0};
    char *got = check_config(TEXT("log: {level: loud}\n"
                                  "mqtt:\n"
                                  "  servrs: [x]\n"
                                  "  keep_alive: never\n"
                                  "  inbox: -1\n"
                                  "  inbox: 5\n"
                                  "  username: ${BRINK_TEST_UNSET}\n"
                                  "telemetry:\n"
                                  "  - {topic: a/b, qos: 7}\n"
                                  "  - {qos: 1, retained: maybe}\n"
                                  "store: {address: 'http://h', fallback: yes}\n"
                                  "rules: [gone.yaml]\n"),
                             &problems);
    ck_assert_str_eq(
        got,
        "c.yaml: `gateway.state_dir` is missing, and $STATE_DIRECTORY is not set\n"
        "c.yaml:1:14: `log.level` must be error, warning, info or debug, not `loud`\n"
        "c.yaml:3:3: unknown key `servrs` in `mqtt`, did you mean `servers`?\n"
        "c.yaml:4:15: `mqtt.keep_alive` must be a duration such as 250ms, 30s, 5m, 2h or "
        "7d, "
        "not `never`\n"
        "c.yaml:5:10: `mqtt.inbox` must be from 0 to 1000000, not `-1`\n"
        "c.yaml:6:3: duplicate key `inbox`, first given at 5:3\n"
        "c.yaml:7:13: the environment variable `BRINK_TEST_UNSET` is not set\n"
        "c.yaml:9:13: `telemetry.topic`: no {device}\n"
        "c.yaml:9:23: `telemetry.qos` must be from 0 to 2, not `7`\n"
        "c.yaml:10:5: `telemetry.topic` is missing\n"
        "c.yaml:10:24: `telemetry.retained` must be ignore or evaluate, not `maybe`\n"
        "c.yaml:11:19: `store.address`: it must be memory, or begin with valkey://, "
        "valkeys://, "
        "redis://, rediss:// or unix://\n"
        "c.yaml:11:40: `store.fallback` must be none or memory, not `yes`\n"
        "c.yaml:12:9: there is no file `gone.yaml`\n");
    ck_assert_uint_eq(problems.errors, 14);
    free(got);
    problems_finish(&problems);
}
END_TEST

/* A secret must not reach a terminal or a log by way of a message about it. */
START_TEST(test_no_message_shows_a_secret)
{
    static const char *const cases[] = {
        BASE "mqtt: {password: \"hunter2\\x07\"}\n",
        BASE "mqtt: {version: 3.1.1, password: hunter2}\n",
        BASE "mqtt: {password: hunter2, password_file: x}\n",
        BASE "store: {password: [hunter2]}\n",
        BASE "store: {address: 'valkey://default:hunter2@h'}\n",
        BASE "mqtt: {servers: ['mqtt://u:hunter2@h']}\n",
        BASE "mqtt: {servers: ['mqtt://u:hunter2/x@h']}\n",
        BASE "http: {token: 'hunter2 hunter2'}\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct problems problems = {0};
        char *got = check_config(text_of(cases[i]), &problems);
        ck_assert_uint_ge(problems.errors, 1);
        ck_assert_msg(!strstr(got, "hunter2"), "%s", got);
        free(got);
        problems_finish(&problems);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config_bad");
    TCase *c = tcase_create("bad");
    tcase_add_loop_test(c, test_each_mistake_is_told_with_its_place, 0,
                        (int)(sizeof bad / sizeof *bad));
    tcase_add_test(c, test_bytes_that_are_no_text_are_told_with_their_place);
    tcase_add_test(c, test_tls_to_the_store_is_refused_by_a_build_without_it);
    tcase_add_test(c, test_all_mistakes_of_a_file_are_told_at_once_in_its_order);
    tcase_add_test(c, test_no_message_shows_a_secret);
    suite_add_tcase(s, c);
    return run_suite(s);
}
