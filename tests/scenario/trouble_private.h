/* trouble_private.h - the strikes that trouble.c's table names, by file. Not for anybody else. */
#ifndef PAY_TESTS_TROUBLE_PRIVATE_H
#define PAY_TESTS_TROUBLE_PRIVATE_H

#include "trouble.h"

/* trouble_broker.c */
bool trouble_lead_anew(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_doom_a_request(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_deafen_member(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_hang_dead_letters(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_append_strange_reply(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_ask_twice_at_once(struct rig *rig, uint32_t a, uint32_t b);

/* trouble_database.c */
bool trouble_cut_connection(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_upset_statement(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_lock_account(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_lock_lane(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_back_up(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_poison(struct rig *rig, uint32_t a, uint32_t b);

/* trouble_tampering.c */
bool trouble_restore_backup(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_fail_over(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_cut_requests(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_replace_requests(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_eat_requests(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_cut_replies(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_replace_replies(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_append_foreign_reply(struct rig *rig, uint32_t a, uint32_t b);
bool trouble_give_row_away(struct rig *rig, uint32_t a, uint32_t b);

#endif
