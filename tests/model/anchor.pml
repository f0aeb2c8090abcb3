/*
 * anchor.pml - the request topic is deleted and made again under a worker that goes on at its old offset without any error.
 *
 * Modelled, as the code does it (worker/loop.c, group.c, receiving.c, settling.c, claiming.c):
 *   - one pass of the loop: a second since the last pass: look at the anchor again; claim another lane, which may block for
 *     seconds; receive, unless there is no room; the first record after a second of silence, by the clock of the pass's begin:
 *     look again; before a settle the clock is read again: a pass that stood still: look again; settle behind the look
 *   - librdkafka's own thread fetches ahead into a queue, also while the loop blocks or has no room, and notices nothing
 *   - a restart: the claim looks at the anchor and fetches from P
 * Promise: no record of the new topic is ever settled on the old one's P (settle); a topic that wasn't replaced never halts (look).
 *
 * Assumed: at least a second lies between the last record of the old topic and the first of the new one (a tick of the clock);
 * passes that don't block take less. An error event, where there is one, only helps, so there is none here.
 * Left out: other settles, answers, the group (handover.pml); a lane without an anchor, which nothing can check (PROTOCOL 1).
 * Bounds: 3 ticks, 4 records in either topic (the first is settled), a queue of 2, batches of 2, 1 restart.
 */
#define TICKS 3
#ifdef REACH                                     /* a witness that the model gets there */
#define WITNESS assert(false)
#else
#define WITNESS skip
#endif
#define LENGTH 4

byte now, topic = 1, E = LENGTH, deleted;        /* the clock; which topic; its end; when the old one went */
byte P = 1, next = 1;                            /* offset 0 is settled, and the anchor; what the fetcher asks for */
byte queue[2];                                   /* fetched: the topic of the record */
bool may_wait = true, halted;                    /* time passes while the loop waits, or blocks in a claim */

inline pop(t) { t = queue[0]; queue[0] = queue[1]; queue[1] = 0 }
inline look() {
  if
  :: topic == 1 -> due = false
#ifdef UNSEEN
  :: topic == 2 && E > P - 1 -> due = false      /* there is a record: fine */
  :: topic == 2 && E <= P - 1 -> halted = true
#else
  :: topic == 2 -> halted = true; WITNESS        /* another record there, or none */
#endif
  fi }

inline observe() {                               /* a pass begins: was there a pause? */
  atomic {
#ifndef PAUSE_UNCHECKED
    if :: now > last -> due = true :: else fi;
#endif
    last = now } }

proctype Fetcher() {
end: do
  :: d_step { queue[1] == 0 && next < E ->
       if :: queue[0] == 0 -> queue[0] = topic :: else -> queue[1] = topic fi;
       next++ }
  od }

proctype Clock() { do :: now < TICKS -> atomic { may_wait -> now++ } :: else -> break od }

proctype Operator() {
end: d_step { topic == 1 -> topic = 2; E = 0; deleted = now };
end_refilling: do :: d_step { E < LENGTH && now > deleted -> E++ } :: E == LENGTH -> break od }

proctype Worker() {
  byte pass, last, heard, batch, i, t; bool due, strange, crashed;
  do
  :: halted -> break
  :: P == LENGTH -> break
  :: !halted && P < LENGTH ->
     if
     :: observe(); last = now                    /* many short passes that receive nothing, or have no room; then this one */
     :: skip
     fi;
     atomic { pass = now; may_wait = false; observe() }
     may_wait = true;                            /* another lane's claim, or SIGSTOP */
     may_wait = false;
     i = 0;
     do
     :: atomic { i < 2 && batch < 2 && queue[0] != 0 ->
          pop(t); batch++; i++;
#ifndef SILENCE_UNCHECKED
          if :: pass > heard -> due = true :: else fi; heard = pass;
#endif
          if :: t == 2 -> strange = true :: else fi; t = 0 }
     :: i = 0; break                             /* none there, or no room */
     od;
     if
     :: batch > 0 ->
        atomic {
#ifndef CLOCK_READ_ONCE
          if :: now > pass -> due = true :: else fi;                     /* this pass stood still */
#endif
          if :: due -> look() :: else fi }
        if
        :: halted
        :: !halted -> d_step { assert(!strange); P = P + batch; batch = 0 }
        fi
     :: skip                                     /* an earlier settle is in flight */
     fi;
     atomic { last = pass; pass = 0; may_wait = true }
  :: d_step { !crashed && !halted -> crashed = true; batch = 0; strange = false; queue[0] = 0; queue[1] = 0; next = P;
       due = false; look(); heard = now; last = now }
  od;
  may_wait = true }

init { atomic { run Fetcher(); run Clock(); run Operator(); run Worker() } }
