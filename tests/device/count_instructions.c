/* A plugin of qemu-user: how many instructions a program runs from one mark to the next.
 *
 * A mark is getpgid() of a process that nobody can be; each tells standard error of those since the one
 * before. Declared here is what is used of qemu-plugin.h (version 1), which Debian does not package.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define GETPGID 155 /* of arm64 */
#define MARK 1000000000
#define ADD 0 /* QEMU_PLUGIN_INLINE_ADD_U64 */

typedef uint64_t plugin_id;
typedef uint64_t word;
struct qemu_plugin_tb;

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_syscall_cb(
    plugin_id, void (*)(plugin_id, unsigned, int64_t, word, word, word, word, word, word, word, word));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

int qemu_plugin_version = 1;
static uint64_t instructions, at_last_mark;

static void translated(plugin_id id, struct qemu_plugin_tb *block) {
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &instructions, qemu_plugin_tb_n_insns(block));
}

static void called(plugin_id id, unsigned cpu, int64_t call, word process, word b, word c, word d, word e,
                   word f, word g, word h) {
    if (call != GETPGID || process != MARK) return;
    fprintf(stderr, "instructions %lu\n", (unsigned long)(instructions - at_last_mark));
    at_last_mark = instructions;
}

int qemu_plugin_install(plugin_id id, const void *machine, int argc, char **argv) {
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
