/*
 * lane.pml - publishing: what a broker does with produce requests still in flight when a lane changes hands.
 *
 * Modelled: several requests in flight per producer session, requests refused one by one, the broker's producer state (none: it
 * takes ANY sequence, KAFKA-15591), librdkafka's implicit acknowledgement of the refused ones, state that expires, stale reads of
 * the log's end; settles whose outcome the worker doesn't learn (it claims again), fence, duplicates.
 * The reply log isn't stored: every check on it is made when a reply lands.
 *
 * Rules of the protocol, each with its switch:
 *   one        one produce request in flight (max.in.flight=1); -DPIPELINE: many; -DPRIME: many, but one alone until the first
 *              acknowledgement and after idleness
 *   checkoff   a success report without an offset is no acknowledgement: the session is dead, claim again; -DNO_CHECKOFF
 *   scan       the claimer reads replies like any reader, never "last record + 1"; -DTAIL
 *   chain      a reader takes a reply only when it continues its integer; -DINTEGER
 * -DCLASSIC is TAIL and INTEGER. Which combinations must pass and which must fail: the lists in `check`.
 *
 * Promises: money before message, nothing skipped for the reader (land), R <= P, "all answered" is true for the reader (Worker),
 * each identity debited at most once, no deadlock.
 * Left out: the row's pair, holes, covers-from, transactions that end after their worker (handover.pml).
 * Bounds: 2 workers, N (3) requests of which the last repeats the first, SESS (3) sessions, that is 2 crashes.
 */
#ifndef N
#define N 3
#endif
#ifndef SESS
#define SESS 3
#endif
#ifdef CLASSIC
#define TAIL
#define INTEGER
#endif
#ifdef PIPELINE
#define MAYSEND(s) (true)
#else
#ifdef PRIME
#define MAYSEND(s) (qhead[s] == qtail[s] || primed[s])
#else
#define MAYSEND(s) (qhead[s] == qtail[s])
#endif
#endif
#ifdef NO_CHECKOFF
#define HONEST(s) (true)
#else
#define HONEST(s) (!lied[s])
#endif
byte P = 0, epoch = 0;             /* PostgreSQL: first unsettled offset, owner */
byte debit[N];                     /* per identity */
byte tail = 0;                     /* source offset of the last reply record, plus one */
byte chain = 0;                    /* first reply missing from the log (what a scan finds) */
byte seen = 0;                     /* the reader's integer */
byte sess = 0;                     /* next unused producer session */
byte qhead[SESS], qtail[SESS];     /* in flight: source offsets qhead .. qtail-1, one request each, in order */
bool known[SESS];                  /* broker holds producer state for this session */
bool primed[SESS];                 /* client has had an ack in this session */
bool lied[SESS];                   /* client was told "delivered" about a record that is in no log */
bool dead[SESS];                   /* owner gone: requests may still arrive, nobody retries */

inline identity(o, i) { if :: o == N-1 -> i = 0 :: else -> i = o fi }    /* the last request repeats the first */

inline land(s, x) {                /* broker appends source offset x of session s */
  assert(x < P);                   /* money before message */
  tail = x + 1;
  if :: x == chain -> chain++ :: else fi;
#ifdef INTEGER
  if :: x >= seen -> assert(x == seen); seen = x + 1 :: else fi;         /* a jump loses what lies between */
#else
  if :: x == seen -> seen++ :: else fi;
#endif
  known[s] = true; primed[s] = true; qhead[s] = x + 1 }

proctype Broker(byte s) { byte x;
end:
  do
  :: d_step { qhead[s] < qtail[s] -> land(s, qhead[s]) }
  :: atomic { !known[s] && qhead[s] + 1 < qtail[s] ->          /* no state: earlier ones refused, a later one taken */
       x = qhead[s] + 1; do :: x + 1 < qtail[s] -> x++ :: break od;
       lied[s] = true; land(s, x) }
  :: d_step { dead[s] && qhead[s] < qtail[s] -> qtail[s]--  }            /* connection dies, a suffix is lost */
  :: d_step { known[s] && qhead[s] == qtail[s] && !dead[s] -> known[s] = false
#ifndef NO_REPRIME
       ; primed[s] = false                                               /* the client knows it was idle that long */
#endif
     }
  :: sess == SESS && dead[s] && qhead[s] == qtail[s] -> break
  od }

proctype Worker() { byte e, myP, R, s, to, o, i; bool ok, have = false;
claim:
  atomic { if :: have -> dead[s] = true :: else fi; have = false;
           if :: sess < SESS -> s = sess; sess++; have = true :: else -> goto out fi;
           epoch++; e = epoch; myP = P }
  atomic {
#ifdef TAIL
    R = tail;
#else
    R = chain;
#endif
    do :: R > 0 -> R-- :: break od;                                      /* a stale view is only ever lower */
    qhead[s] = R; qtail[s] = R }
  assert(R <= P);
  do
  :: myP < N ->
     atomic { to = myP + 1; if :: to < N -> to++ :: skip fi }
     atomic { ok = false;
#ifdef NOFENCE
       if :: true ->
#else
       if :: P == myP && epoch == e ->
#endif
            o = myP; do :: o < to -> identity(o, i);
#ifdef NODEDUP
              debit[i]++;
#else
              if :: debit[i] == 0 -> debit[i] = 1 :: else fi;
#endif
              assert(debit[i] <= 1); o++ :: else -> break od;
            P = to; ok = true
       :: else fi;
       if :: ok -> if :: myP = to :: goto claim fi                       /* answered | unknown: claim again */
          :: else -> goto claim fi }
#ifdef EARLY                                                              /* reply before commit */
  :: atomic { qtail[s] < N && MAYSEND(s) -> qtail[s]++ }
#endif
  :: atomic { qtail[s] < myP && MAYSEND(s) ->
#ifdef GAP
              if :: qhead[s] == qtail[s] && qtail[s] + 1 < myP -> qhead[s]++; qtail[s]++ :: skip fi;
#endif
              qtail[s]++ }
  :: goto claim                                                          /* crash, rebalance, SIGSTOP */
#ifndef NO_CHECKOFF
  :: lied[s] -> goto claim
#endif
  :: atomic { qtail[s] == N && qhead[s] == N && HONEST(s) ->
              assert(seen == N);                                      /* "all answered" must be true for the reader */
              dead[s] = true; break }
  od;
out: skip }

init { byte s = 0;
  atomic { do :: s < SESS -> run Broker(s); s++ :: else -> break od; run Worker(); run Worker() } }
