/*
 * reader.pml - a reader that crashes anywhere and reads again from an older place in the reply log.
 *
 * Modelled: the reader's rule (common/core/reader.c) with n stored together with the effects, and the place in the reply log stored
 * nowhere reliable: after a crash it is any earlier one. The log is any that handover.pml allows: sessions that begin at or below
 * what is missing, each contiguous, with covers-from = n of its claim for the first reply and the predecessor's end afterwards.
 * Promise: each effect exactly once, in order (take); in the end all of them (Monitor); no gap is ever seen.
 * Left out: holes, a start in the middle (handover.pml).
 * Bounds: 3 requests, 3 sessions, 2 crashes of the reader.
 */
#define N 3
#define SESSIONS 3
#define LOGMAX (N * SESSIONS)
byte log_s[LOGMAX], log_c[LOGMAX], size, answered;
byte n, effects, crashes = 2;                    /* n, as stored; effects: how many were made */
bool ready;

proctype Writer() { byte session, next;
  do
  :: session < SESSIONS && !(session > 0 && answered == N && next == N) ->
     session++;
     atomic { next = answered; do :: next > 0 -> next-- :: break od }          /* a claim that saw the log of now, or an older one */
     do
     :: next < N -> d_step { log_s[size] = next; log_c[size] = next; size++; next++;
          if :: next > answered -> answered = next :: else fi }
     :: session < SESSIONS || next == N -> break                               /* crash, or all is answered */
     od
  :: session == SESSIONS || session > 0 && answered == N -> break
  od;
  ready = true }

proctype Reader() { byte pos, s;
  do
  :: pos < size ->
     d_step {
       s = log_s[pos];
#ifndef NO_DROP
       if :: s < n -> s = N :: else -> assert(log_c[pos] <= n) fi;
#endif
       pos++ }
     if
     :: s == N
     :: else ->
#ifdef SEPARATE_STORE
        d_step { assert(s == effects); effects++ }
        if :: crashes > 0 -> crashes--; pos = 0 :: n = s + 1 fi
#elif defined(STORE_FIRST)
        n = s + 1;
        if :: crashes > 0 -> crashes--; pos = 0 :: d_step { assert(s == effects); effects++ } fi
#else
        d_step { assert(s == effects); effects++; n = s + 1 }
#endif
     fi;
     s = 0
  :: atomic { crashes > 0 -> crashes--; do :: pos > 0 -> pos-- :: break od }
  :: ready && pos == size -> break
  od;
  assert(effects == N) }

init { atomic { run Writer(); run Reader() } }
