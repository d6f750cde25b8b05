#include "store/redis_scripts.h"

/* The beginning of the scripts for claims, and of those for outboxes. */
#define FOR_CLAIMS                                                                                 \
    "local call = redis.call\n"                                                                    \
    "local key = ARGV[1] .. 'c:' .. ARGV[3]\n"                                                     \
    "local again = ARGV[2] == '1'\n"

#define FOR_OUTBOXES                                                                               \
    "local call = redis.call\n"                                                                    \
    "local prefix, again = ARGV[1], ARGV[2] == '1'\n"                                              \
    "\n"                                                                                           \
    "local function entry(id) return prefix .. 'oe:' .. id end\n"                                  \
    "local function set(kind, outbox) return prefix .. 'o' .. kind .. ':' .. outbox end\n"         \
    "local function lane(outbox, key) return prefix .. 'oq:' .. #outbox .. ':' .. outbox .. key "  \
    "end\n"                                                                                        \
    "\n"                                                                                           \
    "local function unschedule(outbox, id)\n"                                                      \
    "  local where = call('HGET', entry(id), 'w')\n"                                               \
    "  if not where or where == '' then return end\n"                                              \
    "  call('ZREM', set(where:sub(1, 1), outbox), where:sub(2))\n"                                 \
    "  call('HSET', entry(id), 'w', '')\n"                                                         \
    "end\n"                                                                                        \
    "\n"                                                                                           \
    "local function schedule(outbox, id, kind, moment)\n"                                          \
    "  unschedule(outbox, id)\n"                                                                   \
    "  local member = kind == 'r' and id or moment .. ':' .. id\n"                                 \
    "  call('ZADD', set(kind, outbox), kind == 'r' and id or 0, member)\n"                         \
    "  call('HSET', entry(id), 'w', kind .. member)\n"                                             \
    "end\n"                                                                                        \
    "\n"                                                                                           \
    "local function first_of(outbox, key, id)\n"                                                   \
    "  if key == '' then return id end\n"                                                          \
    "  return call('ZRANGE', lane(outbox, key), 0, 0)[1]\n"                                        \
    "end\n"                                                                                        \
    "\n"                                                                                           \
    "-- One that is scheduled already stays so: it may be the taken one of its lane.\n"            \
    "local function settle(outbox, id)\n"                                                          \
    "  if not id then return end\n"                                                                \
    "  local where, due = unpack(call('HMGET', entry(id), 'w', 'd'))\n"                            \
    "  if where == '' then schedule(outbox, id, 'l', due) end\n"                                   \
    "end\n"                                                                                        \
    "\n"                                                                                           \
    "-- The entry is of the living no more.\n"                                                     \
    "local function leave(outbox, key, id)\n"                                                      \
    "  unschedule(outbox, id)\n"                                                                   \
    "  call('SREM', set('a', outbox), id)\n"                                                       \
    "  if key == '' then return end\n"                                                             \
    "  call('ZREM', lane(outbox, key), id)\n"                                                      \
    "  settle(outbox, first_of(outbox, key, id))\n"                                                \
    "end\n"

static const char claim[] =
    FOR_CLAIMS "local fingerprint, token, now, lease, expiry, keep = unpack(ARGV, 4)\n"
               "local f, t, l, x, r, d = unpack(call('HMGET', key, 'f', 't', 'l', 'x', 'r', 'd'))\n"
               "if not x or now >= x then\n"
               "  call('HSET', key, 'f', fingerprint, 't', token, 'l', lease, 'x', expiry, 'r', "
               "'0', 'd', '0')\n"
               "  call('HDEL', key, 'v')\n"
               "  call('PEXPIRE', key, keep)\n"
               "  return {'new', '0', ''}\n"
               "end\n"
               "local other = f == fingerprint and '0' or '1'\n"
               "if d == '1' then\n"
               "  return {'done', other, other == '0' and call('HGET', key, 'v') or ''}\n"
               "end\n"
               "if other == '1' or (t ~= token and now < l) then\n"
               "  return {'running', other, l}\n"
               "end\n"
               "if t ~= token then r = '1' end\n"
               "call('HSET', key, 't', token, 'l', lease, 'r', r)\n"
               "return {'new', r, ''}\n";

static const char renew[] =
    FOR_CLAIMS "local token, now, lease = unpack(ARGV, 4)\n"
               "local t, x, d = unpack(call('HMGET', key, 't', 'x', 'd'))\n"
               "if not x or now >= x or t ~= token or d == '1' then return {'LOST'} end\n"
               "call('HSET', key, 'l', lease)\n"
               "return {'OK'}\n";

static const char finish[] =
    FOR_CLAIMS "local token, now, result = unpack(ARGV, 4)\n"
               "local t, x, d = unpack(call('HMGET', key, 't', 'x', 'd'))\n"
               "if not x or now >= x or t ~= token then return {'LOST'} end\n"
               "if d ~= '1' then call('HSET', key, 'd', '1', 'v', result) end\n"
               "return {'OK'}\n";

static const char release[] =
    FOR_CLAIMS "local token, now = unpack(ARGV, 4)\n"
               "local t, x, d = unpack(call('HMGET', key, 't', 'x', 'd'))\n"
               "if again and not x then return {'OK'} end\n"
               "if not x or now >= x or t ~= token or d == '1' then return {'LOST'} end\n"
               "call('DEL', key)\n"
               "return {'OK'}\n";

static const char put[] =
    "local key, expiry, keep, value = ARGV[1] .. 'v:' .. ARGV[3], unpack(ARGV, 4)\n"
    "redis.call('HSET', key, 'x', expiry, 'v', value)\n"
    "redis.call('PEXPIRE', key, keep)\n"
    "return {'OK'}\n";

static const char outbox_put[] =
    FOR_OUTBOXES "local outbox, key, value, now, token = unpack(ARGV, 3)\n"
                 "local known = again and call('GET', prefix .. 'op:' .. token)\n"
                 "if known then return {'OK', known} end\n"
                 "local id = string.format('%.0f', call('INCR', prefix .. 'oi'))\n"
                 "call('HSET', entry(id), 'o', outbox, 'k', key, 's', 'w', 'd', now, 't', '', 'n', "
                 "'0', 'p', now,\n"
                 "  'v', value, 'w', '')\n"
                 "call('SET', prefix .. 'op:' .. token, id, 'PX', 600000)\n"
                 "call('SADD', set('a', outbox), id)\n"
                 "if key ~= '' then call('ZADD', lane(outbox, key), id, id) end\n"
                 "if first_of(outbox, key, id) == id then schedule(outbox, id, 'r') end\n"
                 "return {'OK', id}\n";

static const char outbox_take[] = FOR_OUTBOXES
    "local outbox, token, now, lease = unpack(ARGV, 3)\n"
    "\n"
    "local function give(id)\n"
    "  local value, attempts, put = unpack(call('HMGET', entry(id), 'v', 'n', 'p'))\n"
    "  return {'OK', id, value, attempts, put}\n"
    "end\n"
    "\n"
    "if again then\n"
    "  for _, member in ipairs(call('ZRANGE', set('t', outbox), 0, -1)) do\n"
    "    local id = member:sub(21)\n"
    "    if call('HGET', entry(id), 't') == token then return give(id) end\n"
    "  end\n"
    "end\n"
    "\n"
    "-- Those whose moment has come; where an older one of the lane was revived meanwhile, that "
    "one is\n"
    "-- next. A thousand at a time bound the step.\n"
    "local function wake(kind)\n"
    "  for _, member in ipairs(call('ZRANGEBYLEX', set(kind, outbox), '-', '(' .. now .. ';',\n"
    "      'LIMIT', 0, 1000)) do\n"
    "    local id = member:sub(21)\n"
    "    local first = first_of(outbox, call('HGET', entry(id), 'k'), id)\n"
    "    local due = call('HGET', entry(first), 'd')\n"
    "    unschedule(outbox, id)\n"
    "    schedule(outbox, first, due <= now and 'r' or 'l', due)\n"
    "  end\n"
    "end\n"
    "wake('l')\n"
    "wake('t')\n"
    "\n"
    "-- Another machine's clock may be ahead of this one's.\n"
    "while true do\n"
    "  local id = call('ZRANGE', set('r', outbox), 0, 0)[1]\n"
    "  if not id then break end\n"
    "  local due = call('HGET', entry(id), 'd')\n"
    "  if due <= now then\n"
    "    call('HSET', entry(id), 's', 't', 't', token, 'd', lease)\n"
    "    schedule(outbox, id, 't', lease)\n"
    "    return give(id)\n"
    "  end\n"
    "  schedule(outbox, id, 'l', due)\n"
    "end\n"
    "\n"
    "local moment = ''\n"
    "for _, kind in ipairs({'l', 't'}) do\n"
    "  local member = call('ZRANGE', set(kind, outbox), 0, 0)[1]\n"
    "  if member and (moment == '' or member:sub(1, 19) < moment) then moment = member:sub(1, 19) "
    "end\n"
    "end\n"
    "return {'NONE', moment}\n";

static const char outbox_renew[] =
    FOR_OUTBOXES "local id, token, now, lease = unpack(ARGV, 3)\n"
                 "local outbox, key, s, t, d, w = unpack(call('HMGET', entry(id), 'o', 'k', 's', "
                 "'t', 'd', 'w'))\n"
                 "if s ~= 't' or t ~= token or w == '' then return {'LOST'} end\n"
                 "if d <= now and first_of(outbox, key, id) ~= id then return {'LOST'} end\n"
                 "call('HSET', entry(id), 'd', lease)\n"
                 "schedule(outbox, id, 't', lease)\n"
                 "return {'OK'}\n";

static const char outbox_done[] =
    FOR_OUTBOXES "local id, token = unpack(ARGV, 3)\n"
                 "local outbox, key, s, t = unpack(call('HMGET', entry(id), 'o', 'k', 's', 't'))\n"
                 "if again and not s then return {'OK'} end\n"
                 "if s ~= 't' or t ~= token then return {'LOST'} end\n"
                 "leave(outbox, key, id)\n"
                 "call('DEL', entry(id))\n"
                 "return {'OK'}\n";

static const char outbox_retry[] = FOR_OUTBOXES
    "local id, token, due = unpack(ARGV, 3)\n"
    "local outbox, key, s, t, n = unpack(call('HMGET', entry(id), 'o', 'k', 's', 't', 'n'))\n"
    "if t ~= token or (s ~= 't' and s ~= 'w') then return {'LOST'} end\n"
    "if s == 'w' then return {'OK'} end\n"
    "if tonumber(n) < 4294967295 then call('HINCRBY', entry(id), 'n', 1) end\n"
    "call('HSET', entry(id), 's', 'w', 'd', due)\n"
    "unschedule(outbox, id)\n"
    "settle(outbox, first_of(outbox, key, id))\n"
    "return {'OK'}\n";

static const char outbox_bury[] =
    FOR_OUTBOXES "local id, token, reason, now = unpack(ARGV, 3)\n"
                 "local outbox, key, s, t = unpack(call('HMGET', entry(id), 'o', 'k', 's', 't'))\n"
                 "if t ~= token or (s ~= 't' and s ~= 'd') then return {'LOST'} end\n"
                 "if s == 'd' then return {'OK'} end\n"
                 "call('HSET', entry(id), 's', 'd', 'y', reason, 'z', now)\n"
                 "leave(outbox, key, id)\n"
                 "call('ZADD', set('d', outbox), id, id)\n"
                 "return {'OK'}\n";

static const char outbox_count[] =
    FOR_OUTBOXES "local outbox, now = unpack(ARGV, 3)\n"
                 "local taken = call('ZLEXCOUNT', set('t', outbox), '[' .. now .. ';', '+')\n"
                 "local living = call('SCARD', set('a', outbox))\n"
                 "return {'OK', tostring(living - taken), tostring(taken), tostring(call('ZCARD', "
                 "set('d', outbox)))}\n";

static const char outbox_dead[] = FOR_OUTBOXES
    "local outbox, after = unpack(ARGV, 3)\n"
    "local id = call('ZRANGEBYSCORE', set('d', outbox), '(' .. after, '+inf', 'LIMIT', 0, 1)[1]\n"
    "if not id then return {'NONE'} end\n"
    "local value, reason, attempts, put, died = unpack(call('HMGET', entry(id), 'v', 'y', 'n', "
    "'p', 'z'))\n"
    "return {'OK', id, value, reason, attempts, put, died}\n";

static const char outbox_revive[] = FOR_OUTBOXES
    "local id, now = unpack(ARGV, 3)\n"
    "local outbox, key, s = unpack(call('HMGET', entry(id), 'o', 'k', 's'))\n"
    "if again and s == 'w' then return {'OK'} end\n"
    "if s ~= 'd' then return {'NONE'} end\n"
    "call('HSET', entry(id), 's', 'w', 'd', now, 't', '', 'n', '0', 'w', '')\n"
    "call('HDEL', entry(id), 'y', 'z')\n"
    "call('ZREM', set('d', outbox), id)\n"
    "call('SADD', set('a', outbox), id)\n"
    "if key ~= '' then\n"
    "  local before = first_of(outbox, key, id)\n"
    "  call('ZADD', lane(outbox, key), id, id)\n"
    "  if first_of(outbox, key, id) ~= id then return {'OK'} end\n"
    "  if before then\n"
    "    local bs, bd, bw = unpack(call('HMGET', entry(before), 's', 'd', 'w'))\n"
    "    -- The lane is busy with one that was given out: that one, or a younger one.\n"
    "    if bw == '' or (bs == 't' and bd > now) then return {'OK'} end\n"
    "    unschedule(outbox, before)\n"
    "  end\n"
    "end\n"
    "schedule(outbox, id, 'r')\n"
    "return {'OK'}\n";

static const char outbox_drop[] =
    FOR_OUTBOXES "local id = ARGV[3]\n"
                 "local outbox, s = unpack(call('HMGET', entry(id), 'o', 's'))\n"
                 "if again and not s then return {'OK'} end\n"
                 "if s ~= 'd' then return {'NONE'} end\n"
                 "call('ZREM', set('d', outbox), id)\n"
                 "call('DEL', entry(id))\n"
                 "return {'OK'}\n";

const char *const neap_redis_text[NEAP_REDIS_SCRIPTS] = {
    [NEAP_REDIS_CLAIM] = claim,
    [NEAP_REDIS_RENEW] = renew,
    [NEAP_REDIS_FINISH] = finish,
    [NEAP_REDIS_RELEASE] = release,
    [NEAP_REDIS_PUT] = put,
    [NEAP_REDIS_OUTBOX_PUT] = outbox_put,
    [NEAP_REDIS_OUTBOX_TAKE] = outbox_take,
    [NEAP_REDIS_OUTBOX_RENEW] = outbox_renew,
    [NEAP_REDIS_OUTBOX_DONE] = outbox_done,
    [NEAP_REDIS_OUTBOX_RETRY] = outbox_retry,
    [NEAP_REDIS_OUTBOX_BURY] = outbox_bury,
    [NEAP_REDIS_OUTBOX_COUNT] = outbox_count,
    [NEAP_REDIS_OUTBOX_DEAD] = outbox_dead,
    [NEAP_REDIS_OUTBOX_REVIVE] = outbox_revive,
    [NEAP_REDIS_OUTBOX_DROP] = outbox_drop,
};
