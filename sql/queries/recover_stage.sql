-- What recover gathers before it changes anything: tables of this session only. A crash takes them along; the next run gathers anew.
DROP TABLE IF EXISTS pg_temp.recover_told, pg_temp.recover_refused, pg_temp.recover_cited, pg_temp.recover_tail, pg_temp.recover_event,
    pg_temp.recover_untold, pg_temp.recover_later, pg_temp.recover_account, pg_temp.recover_filler;
-- Decisions as replies tell them. first_hand: by the decided record's own reply, and not by a duplicate's.
CREATE TEMPORARY TABLE recover_told (
    tenant text COLLATE "C", order_id text COLLATE "C", attempt int4, account_id text COLLATE "C", currency text COLLATE "C", amount_minor int8,
    outcome text COLLATE "C", reason text COLLATE "C", balance_after_minor int8, account_version int8,
    log_generation int8, src_partition int4, src_offset int8, decided_at timestamptz, first_hand boolean);
CREATE TEMPORARY TABLE recover_refused (
    log_generation int8, src_partition int4, src_offset int8, code text COLLATE "C", field text COLLATE "C", decided_at timestamptz);
-- Decisions that a conflict's reply refers to: position and order are all that it tells.
CREATE TEMPORARY TABLE recover_cited (
    tenant text COLLATE "C", order_id text COLLATE "C", log_generation int8, src_partition int4, src_offset int8, cited_by text);
-- Requests behind the last told one of their partition.
CREATE TEMPORARY TABLE recover_tail (
    tenant text COLLATE "C", order_id text COLLATE "C", attempt int4, account_id text COLLATE "C", currency text COLLATE "C", amount_minor int8,
    log_generation int8, src_partition int4, src_offset int8, appended_at_ms int8);
