/*
 * rollback.pml - the database is restarted, or put back to an earlier state (restored backup, failover that lost commits), under
 * workers that go on publishing what they had settled.
 *
 * Modelled, as the code does it (worker/session.c agree() and compare_and_adopt(), claiming.c, settle_fence.sql, adopt_server.sql):
 *   - a server start ends every connection; a worker notices later, and until then publishes on. Its last reply may still be on
 *     the wire when it connects again
 *   - on a new connection: halted? wait. Incarnation this server's? go on. Else wait for the replies on the wire, read the reply
 *     logs of all lanes, then P, without a lock; a reply at or beyond P halts the ledger, else adopt, WHERE incarnation = the one
 *     I read AND NOT halted; read the ledger again
 *   - a claim takes the row, reads the reply log, and halts on a reply at or beyond P if the row is still its own (decision 005)
 *   - the fence: owner, P, not halted, incarnation is this server's. A server start ends the transaction
 *   - any state the database ever had may be put back, with its ledger row (Backup)
 *
 * Promises, each an assertion: no settle commits while a reply at or beyond its lane's P is in any lane's log (Worker, commit);
 * nobody halts a ledger in which there is none (halt); none settles in a ledger that was halted when it was fenced; in the end the
 * ledger is halted, or all is settled and answered and no reply lies beyond P (Monitor); no deadlock (Spin).
 *
 * Assumed, and said in PROTOCOL 6: after 10 s no reply of a session on an earlier server is on the wire, nor will one be sent
 * (a worker that stood still for so long, or an old primary that still answers, is outside the promises). -DNO_WAIT_10S takes it away.
 * Left out: unknown commits, holes, the pair (handover.pml); a lane's replies are known by the largest source offset alone, as
 * this is all that the comparison asks; a state put back under a server that runs on (a dump loaded into live tables).
 * Bounds: 2 workers with a lane each, or both after one (-DONE_LANE); 2 requests a lane; 2 server starts, each plain or putting a
 * state back; 1 crash; 1 rebalance (-DONE_LANE); 1 halt by a person (-DPERSON).
 */
#define N 2
#ifdef ONE_LANE
#define LANES 1
#define LANE 0
#else
#define LANES 2
#define LANE me
#endif

byte P[LANES], own[LANES], inc = 1;              /* the database; owner: worker + 1 */
bool halted;
byte bP[LANES], bown[LANES], binc = 1;           /* the state that can be put back: the empty one until Backup takes another */
bool bhalted;
byte server = 1, starts = 2, crashes = 1;        /* when the server started; budgets */
byte tx[LANES]; bool txhalted;                   /* who holds the row's lock */
byte top[LANES];                                 /* the reply log: its largest source offset + 1 */
byte wire[2], old[2];                            /* source offset + 1 on its way: of the worker's session, of its last one */
byte conn[2];                                    /* the server start of the worker's connection; 0 none */
bit mine;
#ifdef ONE_LANE
byte moves = 1;
#define TOP_BEYOND (top[0] > P[0])
#define ASSIGNED (mine == me)
#else
#define TOP_BEYOND (top[0] > P[0] || top[1] > P[1])
#define ASSIGNED true
#endif
#ifdef NO_WAIT_10S
#define QUIET true
#else
#define QUIET (old[0] == 0 && old[1] == 0 && (conn[0] == server || conn[0] == 0) && (conn[1] == server || conn[1] == 0))
#endif
#ifdef NO_INCARNATION
#define MINE true
#else
#define MINE (inc == server)
#endif

#ifdef REACH                                     /* a witness that the model gets there */
inline halt() { assert(!TOP_BEYOND) }
#else
inline halt() { assert(TOP_BEYOND); halted = true }
#endif

inline leave() {                                 /* the session is over: what it has on the wire may land yet */
  if :: tx[LANE] == me + 1 -> tx[LANE] = 0; txhalted = false :: else fi;
  if :: wire[me] > old[me] -> old[me] = wire[me] :: else fi;
  wire[me] = 0; conn[me] = 0; myP = 0; pub = 0; seen[0] = 0; seen[1] = 0; readinc = 0 }
#define OVER conn[me] != server -> leave(); goto connect

proctype Worker(bit me) {
  byte myP, pub, seen[2], readinc;
connect:
  conn[me] = server;
agree:
end_halted:
  atomic {
    if
    :: OVER
    :: conn[me] == server && !halted ->
       if :: MINE -> goto claim :: else -> readinc = inc fi
    fi }
  atomic { if :: OVER :: conn[me] == server && QUIET -> skip fi }                /* 10 s */
#ifdef P_FIRST
  atomic { if :: OVER :: else -> seen[0] = P[0]; if :: LANES == 2 -> seen[1] = P[LANES - 1] :: else fi fi }
  atomic { if :: OVER
           :: conn[me] == server && (top[0] > seen[0] || LANES == 2 && top[LANES - 1] > seen[1]) -> halt(); seen[0] = 0; seen[1] = 0; goto agree
           :: else -> seen[0] = 0; seen[1] = 0 fi }
#else
  atomic { seen[0] = top[0]; seen[1] = top[LANES - 1] }
#ifdef COMPARE_OWN_LANE_ONLY
  d_step { seen[1 - LANE] = 0 }
#endif
  atomic {
    if :: OVER
    :: conn[me] == server && (seen[0] > P[0] || seen[1] > P[LANES - 1]) -> halt(); seen[0] = 0; seen[1] = 0; goto agree
    :: else -> seen[0] = 0; seen[1] = 0 fi }
#endif
  atomic {
    if :: OVER
    :: else ->
#ifndef ADOPT_BLIND
       if :: inc == readinc && !halted -> inc = server :: else fi;
#else
       inc = server;
#endif
       readinc = 0; goto agree
    fi }
claim:
end_unassigned:
  atomic {
    if :: OVER
    :: conn[me] == server && ASSIGNED && tx[LANE] == 0 -> own[LANE] = me + 1; myP = P[LANE]
    fi }
  atomic { seen[0] = top[LANE] }                 /* the reply log; the database may be another one by now */
  if
  :: seen[0] > myP ->
     atomic { if :: OVER
              :: conn[me] == server && own[LANE] == me + 1 -> halt(); leave(); goto connect
              :: else -> myP = 0; seen[0] = 0; goto claim fi }
  :: else -> atomic { pub = seen[0]; seen[0] = 0 }
  fi;
end_open:
  do
  :: atomic { OVER }
  :: atomic { conn[me] == server && tx[LANE] == 0 && myP < N ->                  /* the fence */
       if
       :: own[LANE] != me + 1 || P[LANE] != myP -> myP = 0; pub = 0;
          if :: wire[me] > old[me] -> old[me] = wire[me] :: else fi; wire[me] = 0; goto claim
       :: else ->
#ifdef FENCE_IGNORES_HALT
          if :: MINE -> tx[LANE] = me + 1; txhalted = txhalted || halted :: else -> leave(); goto connect fi
#else
          if :: MINE && !halted -> tx[LANE] = me + 1 :: else -> leave(); goto connect fi
#endif
       fi }
  :: d_step { conn[me] == server && tx[LANE] == me + 1 ->                        /* COMMIT */
       assert(!TOP_BEYOND); assert(!txhalted);
       myP++; P[LANE] = myP; tx[LANE] = 0 }
  :: d_step { wire[me] == 0 && pub < myP -> pub++; wire[me] = pub }
  :: d_step { wire[me] != 0 -> if :: wire[me] > top[LANE] -> top[LANE] = wire[me] :: else fi; wire[me] = 0 }
  :: atomic { crashes > 0 -> crashes--; leave(); goto connect }
#ifdef ONE_LANE
  :: atomic { mine != me -> leave(); goto connect }
#endif
  od }

proctype Wire() {
end: do
  :: d_step { old[0] != 0 -> if :: old[0] > top[0] -> top[0] = old[0] :: else fi; old[0] = 0 }
  :: d_step { old[0] != 0 -> old[0] = 0 }
  :: d_step { old[1] != 0 -> if :: old[1] > top[LANES - 1] -> top[LANES - 1] = old[1] :: else fi; old[1] = 0 }
  :: d_step { old[1] != 0 -> old[1] = 0 }
  od }

inline restart() { starts--; server++; tx[0] = 0; tx[LANES - 1] = 0; txhalted = false }
proctype Server() {
end: do
  :: d_step { starts > 0 -> restart() }
  :: d_step { starts > 0 -> restart(); P[0] = bP[0]; own[0] = bown[0]; P[LANES - 1] = bP[LANES - 1]; own[LANES - 1] = bown[LANES - 1];
              inc = binc; halted = bhalted }
  od }

proctype Backup() {
end: d_step { starts > 0 -> bP[0] = P[0]; bown[0] = own[0]; bP[LANES - 1] = P[LANES - 1]; bown[LANES - 1] = own[LANES - 1];
                            binc = inc; bhalted = halted } }

#ifdef ONE_LANE
proctype Group() {
end: do :: d_step { moves > 0 -> moves--; mine = 1 - mine } od }
#endif
#ifdef PERSON
proctype Person() { halted = true }
#endif

proctype Monitor() {
end: timeout ->
  assert(halted || P[0] == N && P[LANES - 1] == N && top[0] == N && top[LANES - 1] == N) }

init {
  atomic {
    run Worker(0); run Worker(1); run Wire(); run Server(); run Backup();
#ifdef ONE_LANE
    run Group();
#endif
#ifdef PERSON
    run Person();
#endif
    run Monitor() } }
