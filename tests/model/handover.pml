/*
 * handover.pml - one lane with everything PostgreSQL remembers of it: claims, settles of unknown outcome, holes, empty batches,
 * the lazy pair, and readers from the start and from the middle.
 *
 * Modelled, as the code does it (worker/claiming.c, session.c, settling.c, publishing.c, common/core/{claim,lane,reader}.c):
 *   - a settle holds the row's lock from its fence to its end; with its COMMIT on the way the worker may go: the server commits it
 *     or not, before or after the worker's death, while the next claimer waits for the lock
 *   - the claim: the row under the lock; the reply log from reply_position by the reader's rule from n = replied_offset, up to a
 *     watermark that may be stale; R; covers-from = n; a reply at or beyond P halts only when the row is still mine (decision
 *     005); still mine by the group? else it leaves. The group's word is older than the claim: a lane may be claimed wrongly
 *   - one produce request in flight; it may land after its session's end, land twice, or never
 *   - one offset without a record, anywhere; P moves over it with the next record or an empty batch
 *   - retention moves the reply log's start anywhere (-DRETENTION); requests come one by one (-DGROW) or are all there
 *   - a reader from the start, and one from the middle (-DMIDDLE): its place is the log's end at any time, E0 is read at any
 *     later one. Each reply is judged when it lands: a reader's fate depends on the log alone, not on its pace. Readers that
 *     crash: reader.pml
 *
 * Promises, each an assertion:
 *   land()    money before message; every reader takes each reply once, in order, none is passed over, none stops at a gap
 *   settle()  each identity charged at most once; P never over an unsettled record; replied_offset <= P <= E
 *   Worker    R <= P, nothing unanswered below R; the replay ends at the anchor; no healthy ledger is halted
 *   Monitor   when nothing can move any more, all is settled, answered, and the row says so; with -DNP (Spin's search for
 *             non-progress cycles): it comes to that, so two workers never fence each other for ever
 *   -DLOSSY   the broker loses one acknowledged reply: readers may stop, but nobody takes a reply past the missing one
 *
 * Left out, and why that is safe: several requests in flight and lies (lane.pml has them); anchors against another log
 * (anchor.pml); a database put back (rollback.pml); more lanes in a batch (they share only the transaction); declines and
 * refusals (stored and found like a payment); acknowledgements and commit answers that come late (a worker that doesn't know yet
 * is one that doesn't act yet, and a lost one is a crash just after).
 * Bounds: 2 workers, 3 requests of which the last repeats the first, 1 hole; FAULTS (2) of: crash or lost session, rebalance,
 * failed transaction, reply landed twice, stale watermark; 3 requests of dead sessions on the wire at a time.
 */
#ifndef FAULTS
#define FAULTS 2
#endif
#define LEN 4
#define LOGMAX (3 * (FAULTS + 2))
#define ZOMBIES 3
#define NEXT(o) ((o) == hole -> (o) + 1 : (o))    /* the first offset from o on that may hold a record */
#define FIRST (hole == 0)
#define LAST (LEN - 1 - (hole == LEN - 1))
#define IDENTITY(o) ((o) == FIRST || (o) == LAST -> 0 : 1)
#define DEAD 3
#define S(reply) ((reply) / 16)
#define C(reply) ((reply) % 16)
#ifdef FORGET_PAIR
#define PAIR_DUE false
#else
#define PAIR_DUE (ro != myro || rp != myrp)
#endif
#ifdef SKIP_EMPTY
#define END_DUE false
#elif defined(P_OVER_UNSETTLED)
#define END_DUE (myP < E)
#else
#define END_DUE (myP < E && NEXT(myP) == E)
#endif
#ifdef LOSSY
#define GAP skip
byte lost = 1;
#else
#define GAP assert(false)
#endif

byte hole, E;                                     /* the offset without a record; high watermark */
byte P, owner, ro, rp, A;                         /* the row: next_offset, worker + 1, the pair, anchor + 1 */
byte tx, txfrom, txP, txA, txro, txrp;            /* who holds the row's lock (worker + 1, or DEAD), and what COMMIT writes */
byte debit[2];
byte faults = FAULTS;
bit mine;                                         /* whom the group gave the lane */
byte zombie[ZOMBIES], zombie_c[ZOMBIES];          /* on the wire from dead sessions: source offset + 1, covers-from */
byte log[LOGMAX], size, start;                    /* the reply log: source offset, covers-from */
byte n;                                           /* the reader from the start */

inline take_from_start(s, c) {
  if
  :: s < n
#ifdef INTEGER
  :: s >= n ->
#else
  :: s >= n && c > n -> GAP
  :: s >= n && c <= n ->
#endif
     assert(s == NEXT(n));
     n = s + 1
  fi }

#ifdef MIDDLE
byte m, E0, mpos, mphase;                         /* its n; 1: its place in the log is fixed, 2: it reads */
bool synced, began;
#define LATER(a, b) ((a) > (b) -> (a) : (b))
inline take_in_the_middle(s, c) {
  if
  :: s < m
  :: s >= m && began && c > m && synced -> GAP
  :: s >= m && (!began || c <= m || !synced) ->
     if :: s >= E0 ->                             /* from E0 on it misses nothing */
#ifdef LOSSY
           assert(!synced || s == NEXT(LATER(m, E0)));
#else
           assert(s == NEXT(LATER(m, E0)));
#endif
           synced = true
     :: else fi;
#ifdef N_FROM_FIRST_REPLY
     synced = true;
#endif
     began = true; m = s + 1
  fi }
#endif

inline land(x, c) {                               /* the broker appends the reply to source offset x */
  assert(x < P && x != hole && size < LOGMAX);
  log[size] = 16 * (x) + (c); size++;
  take_from_start(x, c);
#ifdef MIDDLE
  if :: mphase == 2 -> take_in_the_middle(x, c) :: else fi
#endif
}

inline unlock() { tx = 0; txfrom = 0; txP = 0; txA = 0; txro = 0; txrp = 0 }

inline settle(o) {                                /* COMMIT */
  assert(txP <= E && txP >= P && txro <= txP);
  assert(NEXT(P) >= txfrom);
  o = txfrom;
  do
  :: o < txP ->
     if
     :: o == hole
     :: else ->
#ifdef NODEDUP
        debit[IDENTITY(o)]++;
#else
        if :: debit[IDENTITY(o)] == 0 -> debit[IDENTITY(o)]++ :: else fi;
#endif
        assert(debit[IDENTITY(o)] == 1)
     fi;
     o++
  :: else -> break
  od;
  o = 0; P = txP; A = txA; ro = txro; rp = txrp; unlock() }

proctype Server() { byte o;                       /* the end of a transaction whose worker is gone */
end: do
  :: d_step { tx == DEAD -> settle(o) }
  :: d_step { tx == DEAD -> unlock() }
  od }

#define ZOMBIE(i) \
  :: d_step { zombie[i] != 0 -> x = zombie[i] - 1; c = zombie_c[i]; zombie[i] = 0; zombie_c[i] = 0; land(x, c); x = 0; c = 0 } \
  :: d_step { zombie[i] != 0 -> zombie[i] = 0; zombie_c[i] = 0 }
proctype Wire() { byte x, c;
end: do ZOMBIE(0) ZOMBIE(1) ZOMBIE(2) od }

proctype Group() {
end: do :: d_step { faults > 0 -> faults--; mine = 1 - mine } od }

proctype Intake() { do :: E < LEN -> E++ :: else -> break od }

/* The session is over: what it has on the wire may land or not, its transaction may commit or not. */
inline leave() {
  if :: tx == me + 1 -> tx = DEAD :: else fi;
  if
  :: out == 0
  :: else -> i = 0; do :: zombie[i] != 0 -> i++ :: else -> break od;
     zombie[i] = out; zombie_c[i] = out_c; out = 0; out_c = 0; i = 0
  fi;
  myP = 0; myA = 0; cov = 0; pub = 0; myro = 0; myrp = 0 }

inline scan(hi) {                                 /* the reply log from reply_position to hi, by the reader's rule */
  cov = myro; i = (start > myrp -> start : myrp);
  do
  :: i < hi ->
     if
     :: S(log[i]) >= myP -> beyond = true
     :: S(log[i]) < myP && S(log[i]) >= cov && C(log[i]) <= cov -> cov = S(log[i]) + 1; myro = cov; myrp = i + 1
     :: else
     fi;
     i++
  :: else -> break
  od;
  i = 0; hi = 0 }

proctype Worker(bit me) {
  byte myP, myA, myro, myrp;                      /* of the row, and the pair to be written with the next settle */
  byte cov, pub;                                  /* covers-from of the next reply; its source offset, or below */
  byte out, out_c;                                /* on the wire */
  byte i, hi; bool beyond;
claim:
end_unassigned:
#ifdef DUEL
  true;
#else
  mine == me;                                     /* a fenced worker, too, asks again only then */
#endif
end_locked:
  d_step {                                        /* step 1 */
#ifndef READ_WITHOUT_LOCK
    tx == 0;
#endif
    owner = me + 1; myP = P; myA = A; myro = ro; myrp = rp }
  atomic {                                        /* step 2 */
    hi = size;
    if :: faults > 0 && hi > myrp && hi > start -> faults--; do :: hi > myrp && hi > start -> hi-- :: break od :: skip fi;
    d_step { scan(hi) } }
  if
  :: beyond ->
     beyond = false;
#ifndef HALT_AT_ONCE
     if :: owner != me + 1 -> d_step { leave() } goto claim :: else fi;
#endif
     assert(false)                                /* halts, and nothing is wrong */
  :: !beyond
  fi;
  atomic {
    if :: mine != me -> leave(); goto claim :: else fi;                               /* step 5 */
#ifdef R_IS_P
    pub = myP;
#else
    pub = (myA == 0 || myA <= cov -> myP : cov);
#endif
    assert(pub <= myP && (pub == cov || NEXT(cov) >= pub));
    i = (myP != 0 && myP - 1 == hole -> myP - 1 : myP);
    assert(pub >= i || i == myA); i = 0;          /* the last record of the replay is the anchor, or the lane would halt */
#ifdef COVERS_FROM_P
    cov = pub
#endif
  }
end_open:
  do
  :: atomic { tx == 0 && NEXT(myP) < E ->         /* the fence; COMMIT is on its way */
       if
#ifndef NOFENCE
       :: owner != me + 1 || P != myP -> leave(); goto claim
#endif
       :: owner == me + 1 && P == myP ->
#ifdef NOFENCE
       :: else ->
#endif
          tx = me + 1; txfrom = myP; txro = myro; txrp = myrp;
#ifdef REPLIED_FROM_SENT
          txro = cov;
#endif
          txP = NEXT(myP) + 1;
          if :: NEXT(txP) == txP && txP < E -> txP++ :: skip fi;                      /* one record, or two in a row */
          txA = txP
#ifdef ANCHOR_BEHIND_HOLE
          ; if :: txP == hole && txP < E -> txP++; txA++ :: else fi
#endif
       fi }
  :: atomic { tx == 0 && (PAIR_DUE || END_DUE)
       ->                                         /* an empty batch: the pair; P to the end where no record lies below it */
       if
       :: owner != me + 1 || P != myP -> leave(); goto claim
       :: else -> tx = me + 1; txfrom = (NEXT(myP) == E -> E : myP); txP = txfrom; txA = myA; txro = myro; txrp = myrp
#ifdef P_OVER_UNSETTLED
          ; txfrom = E; txP = E
#endif
       fi }
  :: d_step { tx == me + 1 -> myP = txP; myA = txA; settle(i) }
  :: d_step { tx == me + 1 && faults > 0 -> faults--; unlock() }                      /* rolled back: it is redone */
#ifdef ASSUME_COMMIT
  :: d_step { tx == me + 1 && faults > 0 -> faults--; myP = txP; myA = txA; tx = DEAD }
#endif
#ifdef EARLY
  :: d_step { out == 0 && NEXT(pub) < E ->
#else
  :: d_step { out == 0 && NEXT(pub) < myP ->
#endif
       out = NEXT(pub) + 1; out_c = cov; cov = out; pub = out }
  :: d_step { out != 0 -> land(out - 1, out_c); myro = out; myrp = size; out = 0; out_c = 0 }      /* and is acknowledged */
  :: d_step { out != 0 && faults > 0 -> faults--; land(out - 1, out_c) }              /* retried where the broker forgot it */
#ifdef LOSSY
  :: d_step { out != 0 && lost > 0 -> lost--; myro = out; myrp = size; out = 0; out_c = 0 }
#endif
  :: atomic { faults > 0 -> faults--; leave(); if :: mine = 1 - mine :: skip fi; goto claim }      /* crash, lost connection */
  :: atomic { mine != me -> leave(); goto claim } /* revoked, noticed at any time */
  od }

#ifdef MIDDLE
proctype Middle() { byte i;
#ifdef E0_EARLY
  E0 = E;
#endif
  d_step { mpos = size; mphase = 1 }             /* an older place is the same as having begun earlier */
  d_step {
#ifndef E0_EARLY
    E0 = E;
#endif
    mphase = 2; i = (start > mpos -> start : mpos); mpos = 0;
    do :: i < size -> take_in_the_middle(S(log[i]), C(log[i])); i++ :: else -> break od; i = 0 } }
#endif

#ifdef RETENTION
proctype Retention() { atomic { size > 0 -> start = 1; do :: start < size -> start++ :: break od } }
#endif

proctype Monitor() {
end: timeout ->
#ifndef LOSSY
  assert(E == LEN && P == LEN && tx == 0 && n == LAST + 1 && ro == LAST + 1 && rp > 0);
#endif
  assert(debit[0] == 1 && debit[1] == 1) }

init {
  atomic {
    if :: hole = 0 :: hole = 1 :: hole = 2 :: hole = 3 fi;
#ifndef GROW
    E = LEN;
#endif
    run Server(); run Wire(); run Worker(0); run Worker(1); run Group(); run Intake(); run Monitor();
#ifdef MIDDLE
    run Middle();
#endif
#ifdef RETENTION
    run Retention()
#endif
  } }
