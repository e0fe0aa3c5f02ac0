/* Model folders: what may be opened, by openat2 and by the walk without it, and files that change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <tokray/session.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/memory.h"

/* The tests live in a fresh directory that is the current one:
 *   outside.json  model/...  hub/models--a--b/{blobs,snapshots/rev1}  hub/models--c--d/blobs */
static char place[] = "/tmp/tokray-folder-XXXXXX";

static void write_file(const char *path, const char *text, size_t size)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, size), size);
    close(descriptor);
}

static void link_to(const char *target, const char *path) { assert_int_equal(symlink(target, path), 0); }
static void make_directory(const char *path) { assert_int_equal(mkdir(path, 0700), 0); }

static void make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    close(descriptor);
}

static void make_model(void)
{
    make_directory("model");
    make_directory("model/sub");
    make_directory("model/sub/deep");
    write_file("outside.json", "outside", 7);
    write_file("model/config.json", "{\"a\": 1}", 8);
    write_file("model/empty.json", "", 0);
    write_file("model/sub/inner.json", "inner", 5);
    write_file("model/-\n\x1b[31m%s", "odd", 3);
    assert_int_equal(mkfifo("model/fifo", 0600), 0);
    make_socket("model/socket");
    link_to("../outside.json", "model/escape.json");
    link_to("/etc/passwd", "model/absolute.json");
    link_to("sub/deep/../inner.json", "model/inside.json");
    link_to("./sub/../sub//inner.json", "model/winding.json");
    link_to("inside.json", "model/twice.json");
    link_to("sub/../../model/config.json", "model/out_and_in.json");
    link_to("loop_b", "model/loop_a");
    link_to("loop_a", "model/loop_b");
    link_to("nothing", "model/dangling.json");
    link_to("/dev/zero", "model/device");
    link_to("sub", "model/to_directory");
    link_to("/proc/self/fd/0", "model/magic");
    link_to("..", "model/up");
    link_to("up/outside.json", "model/by_up.json");
}

static void make_hub(void)
{
    make_directory("hub");
    make_directory("hub/models--a--b");
    make_directory("hub/models--a--b/blobs");
    make_directory("hub/models--a--b/blobs/sub");
    make_directory("hub/models--a--b/snapshots");
    make_directory("hub/models--a--b/snapshots/rev1");
    make_directory("hub/models--c--d");
    make_directory("hub/models--c--d/blobs");
    make_directory("hub/other");
    make_directory("hub/other/blobs");
    make_directory("hub/other/snapshots");
    make_directory("hub/other/snapshots/rev1");
    write_file("hub/models--a--b/blobs/1234", "own blob", 8);
    write_file("hub/models--a--b/secret", "no blob", 7);
    write_file("hub/models--c--d/blobs/9", "foreign", 7);
    write_file("hub/other/blobs/1", "no hub", 6);
    link_to("../../../outside.json", "hub/models--a--b/blobs/leads_out");
    link_to("../../blobs/1234", "hub/models--a--b/snapshots/rev1/config.json");
    link_to("../../../models--c--d/blobs/9", "hub/models--a--b/snapshots/rev1/foreign.json");
    link_to("../../secret", "hub/models--a--b/snapshots/rev1/secret.json");
    link_to("../../blobs/../secret", "hub/models--a--b/snapshots/rev1/dots.json");
    link_to("../../blobs/sub/../../secret", "hub/models--a--b/snapshots/rev1/around.json");
    link_to("../../blobs/leads_out", "hub/models--a--b/snapshots/rev1/leads_out.json");
    link_to("../../blobs/missing", "hub/models--a--b/snapshots/rev1/missing.json");
    link_to("../../blobs/..", "hub/models--a--b/snapshots/rev1/parent.json");
    link_to("../../blobs/1", "hub/other/snapshots/rev1/config.json");
}

static int make_place(void **state)
{
    (void)state;
    if (!mkdtemp(place) || chdir(place) != 0)
        return -1;
    make_model();
    make_hub();
    return 0;
}

static int remove_place(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", place);
    return chdir("/") != 0 || system(command) != 0;
}

/* ---- what every way of opening has to answer ----------------------------------------------------------------------- */

typedef struct expectation {
    const char *folder, *name;
    tkr_status code;
    const char *text; /* the file's bytes, or the message */
} expectation;

static const expectation expectations[] = {
    {"model", "config.json", TKR_OK, "{\"a\": 1}"},
    {"model", "empty.json", TKR_OK, ""},
    {"model", "inside.json", TKR_OK, "inner"},
    {"model", "winding.json", TKR_OK, "inner"},
    {"model", "twice.json", TKR_OK, "inner"},
    {"model", "-\n\x1b[31m%s", TKR_OK, "odd"},
    {"model", "none.json", TKR_E_PATH_NOT_FOUND, "none.json: no such file in model"},
    {"model", "dangling.json", TKR_E_PATH_NOT_FOUND, "dangling.json: is a link to a file that does not exist"},
    {"model", "escape.json", TKR_E_PATH_ESCAPE, "escape.json: link leads outside the model folder"},
    {"model", "absolute.json", TKR_E_PATH_ESCAPE, "absolute.json: link leads outside the model folder"},
    {"model", "out_and_in.json", TKR_E_PATH_ESCAPE, "out_and_in.json: link leads outside the model folder"},
    {"model", "by_up.json", TKR_E_PATH_ESCAPE, "by_up.json: link leads outside the model folder"},
    {"model", "magic", TKR_E_PATH_ESCAPE, "magic: link leads outside the model folder"},
    {"model", "device", TKR_E_PATH_ESCAPE, "device: link leads outside the model folder"},
    {"model", "loop_a", TKR_E_PATH_ESCAPE, "loop_a: too many links"},
    {"model", "fifo", TKR_E_PATH_NOT_REGULAR, "fifo: is a FIFO, not a regular file"},
    {"model", "socket", TKR_E_PATH_NOT_REGULAR, "socket: is a socket or a device, not a regular file"},
    {"model", "sub", TKR_E_PATH_NOT_REGULAR, "sub: is a directory, not a regular file"},
    {"model", "to_directory", TKR_E_PATH_NOT_REGULAR, "to_directory: is a directory, not a regular file"},
    {"model", "sub/inner.json", TKR_E_PATH_ESCAPE, "\"sub/inner.json\" is not a plain file name"},
    {"model", "..", TKR_E_PATH_ESCAPE, "\"..\" is not a plain file name"},
    {"model", ".", TKR_E_PATH_ESCAPE, "\".\" is not a plain file name"},
    {"model", "", TKR_E_PATH_ESCAPE, "\"\" is not a plain file name"},
    {"hub/models--a--b/snapshots/rev1", "config.json", TKR_OK, "own blob"},
    {"hub/models--a--b/snapshots/rev1", "foreign.json", TKR_E_PATH_ESCAPE,
     "foreign.json: link leads outside the model folder"},
    {"hub/models--a--b/snapshots/rev1", "secret.json", TKR_E_PATH_ESCAPE,
     "secret.json: link leads outside the model folder"},
    {"hub/models--a--b/snapshots/rev1", "dots.json", TKR_E_PATH_ESCAPE,
     "dots.json: link leads outside the model folder"},
    {"hub/models--a--b/snapshots/rev1", "around.json", TKR_E_PATH_ESCAPE,
     "around.json: link leads outside the model folder"},
    {"hub/models--a--b/snapshots/rev1", "parent.json", TKR_E_PATH_ESCAPE,
     "parent.json: link leads outside the model folder"},
    {"hub/models--a--b/snapshots/rev1", "leads_out.json", TKR_E_PATH_ESCAPE,
     "leads_out.json: link leads outside the model folder"},
    {"hub/models--a--b/snapshots/rev1", "missing.json", TKR_E_PATH_NOT_FOUND,
     "missing.json: is a link to a file that does not exist"},
    {"hub/other/snapshots/rev1", "config.json", TKR_E_PATH_ESCAPE,
     "config.json: link leads outside the model folder"},
};

/* Prints what differs; works in a child process as well, where cmocka's own checks do not. */
static bool meets(const expectation *e, bool copy)
{
    tkr_error error = {0};
    file_bytes file;
    folder *f = folder_open(e->folder, false, &error);
    if (!f)
        return false;
    tkr_status status = folder_file(f, e->name, 1000, copy, &file, &error);
    bool met = status == e->code && error.code == e->code;
    if (met && status == TKR_OK)
        met = file.size == strlen(e->text) && memcmp(file.data, e->text, file.size) == 0;
    else if (met)
        met = strcmp(error.message, e->text) == 0;
    if (!met)
        print_error("%s/%s: %s %s\n", e->folder, e->name, tkr_status_name(status), error.message);
    file_bytes_close(&file);
    folder_close(f);
    return met;
}

static int count_unmet(void)
{
    int unmet = 0;
    for (size_t i = 0; i < sizeof expectations / sizeof expectations[0]; i++)
        unmet += !meets(&expectations[i], false) + !meets(&expectations[i], true);
    return unmet;
}

static int count_descriptors(void)
{
    int count = 0;
    for (int i = 0; i < 256; i++)
        count += fcntl(i, F_GETFD) >= 0;
    return count;
}

static void test_folder__opens_only_what_it_may(void **state)
{
    (void)state;
    uint64_t before = tkr_memory_now();
    int open_before = count_descriptors();
    assert_int_equal(count_unmet(), 0);
    assert_int_equal(tkr_memory_now(), before);
    assert_int_equal(count_descriptors(), open_before);
}

/* In this process the kernel answers openat2 with `number` from now on. */
static bool forbid_openat2(int number)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void check_without_openat2(int number)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int before = count_descriptors();
        if (!forbid_openat2(number))
            _exit(99);
        if (syscall(SYS_openat2, -1, "", NULL, (size_t)0) != -1 || errno != number)
            _exit(98);
        int unmet = count_unmet();
        _exit(unmet ? unmet : count_descriptors() != before);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 99)
        skip(); /* no seccomp here */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_folder__the_walk_without_openat2_answers_the_same(void **state)
{
    (void)state;
    check_without_openat2(ENOSYS);
    check_without_openat2(EPERM);
}

static void test_folder__follow_links_lifts_the_rule_for_links_only(void **state)
{
    (void)state;
    tkr_error error = {0};
    file_bytes file;
    folder *f = folder_open("model", true, &error);
    assert_int_equal(folder_file(f, "escape.json", 100, false, &file, &error), TKR_OK);
    assert_memory_equal(file.data, "outside", 7);
    file_bytes_close(&file);
    assert_int_equal(folder_file(f, "../outside.json", 100, false, &file, &error), TKR_E_PATH_ESCAPE);
    tkr_error_clear(&error);
    assert_int_equal(folder_file(f, "device", 100, false, &file, &error), TKR_E_PATH_NOT_REGULAR);
    assert_string_equal(error.message, "device: is a device, not a regular file");
    tkr_error_clear(&error);
    assert_int_equal(folder_file(f, "loop_a", 100, false, &file, &error), TKR_E_PATH_ESCAPE);
    folder_close(f);
}

static void refuse_folder(const char *path, tkr_status code, const char *message)
{
    tkr_error error = {0};
    assert_null(folder_open(path, false, &error));
    assert_int_equal(error.code, code);
    assert_string_equal(error.message, message);
}

static void test_folder__refuses_what_is_no_folder(void **state)
{
    (void)state;
    tkr_error error = {0};
    refuse_folder("nowhere", TKR_E_PATH_NOT_FOUND, "nowhere: no such model folder");
    refuse_folder("", TKR_E_PATH_NOT_FOUND, ": no such model folder");
    refuse_folder("outside.json", TKR_E_PATH_NOT_DIR,
                  "outside.json: is a file; give the folder that holds config.json");
    refuse_folder("outside.json/x", TKR_E_PATH_NOT_FOUND, "outside.json/x: no such model folder");
    refuse_folder("model/loop_a", TKR_E_PATH_ESCAPE, "model/loop_a: too many links");
    refuse_folder("a\nb", TKR_E_PATH_NOT_FOUND, "a\\x0Ab: no such model folder");
    assert_null(folder_open("nowhere", false, &error));
    assert_string_equal(error.help,
                        "give a folder that holds config.json and model.safetensors, or a name that "
                        "tokray models list prints");
    folder_close(NULL);
}

/* In a child process, because root may read everything and has to become somebody else first. */
static void test_folder__a_folder_without_permission(void **state)
{
    (void)state;
    make_directory("closed");
    assert_int_equal(chmod("closed", 0), 0);
    assert_int_equal(chmod(".", 0755), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tkr_error error = {0};
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
            _exit(99);
        bool right = !folder_open("closed", false, &error) && error.code == TKR_E_IO_OPEN &&
                     strcmp(error.message, "closed: permission denied") == 0;
        _exit(right ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 99)
        skip();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_folder__too_many_open_files_is_an_ordinary_error(void **state)
{
    (void)state;
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = old.rlim_max};
    tkr_error error = {0};
    file_bytes file;
    folder *f = folder_open("model", false, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    tkr_status status = folder_file(f, "config.json", 100, false, &file, &error);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(status, TKR_E_IO_OPEN);
    assert_string_equal(error.message, "config.json: too many open files");
    folder_close(f);
}

static void test_folder__the_size_limit(void **state)
{
    (void)state;
    tkr_error error = {0};
    file_bytes file;
    folder *f = folder_open("model", false, &error);
    assert_int_equal(folder_file(f, "config.json", 8, true, &file, &error), TKR_OK);
    file_bytes_close(&file);
    assert_int_equal(folder_file(f, "config.json", 7, true, &file, &error), TKR_E_LIMIT_FILE_SIZE);
    assert_string_equal(error.message, "config.json: 8 bytes; the limit is 7");
    assert_null(file.data);
    folder_close(f);
}

static void test_folder__maps_or_copies(void **state)
{
    (void)state;
    tkr_error error = {0};
    file_bytes mapped, copied;
    folder *f = folder_open("model", false, &error);
    uint64_t before = tkr_memory_now();
    assert_int_equal(folder_file(f, "config.json", 100, false, &mapped, &error), TKR_OK);
    assert_true(mapped.mapped && mapped.descriptor >= 0);
    assert_int_equal(tkr_memory_now(), before);
    assert_int_equal(folder_file(f, "config.json", 100, true, &copied, &error), TKR_OK);
    assert_true(!copied.mapped && copied.descriptor == -1);
    assert_int_equal((uintptr_t)copied.data % 64, 0);
    assert_string_equal(copied.name, "config.json");
    assert_int_equal(file_bytes_unchanged(&mapped, &error), TKR_OK);
    assert_int_equal(file_bytes_unchanged(&copied, &error), TKR_OK);
    file_bytes_close(&mapped);
    file_bytes_close(&mapped); /* harmless */
    file_bytes_close(&copied);
    assert_int_equal(tkr_memory_now(), before);
    folder_close(f);
}

static void test_folder__a_mapped_file_that_changes_is_noticed(void **state)
{
    (void)state;
    static char text[5000];
    write_file("model/weights", text, sizeof text);
    tkr_error error = {0};
    file_bytes file;
    folder *f = folder_open("model", false, &error);
    assert_int_equal(folder_file(f, "weights", 5000, false, &file, &error), TKR_OK);
    assert_int_equal(truncate("model/weights", 4096), 0);
    assert_int_equal(file_bytes_unchanged(&file, &error), TKR_E_IO_CHANGED);
    assert_string_equal(error.message, "weights: became shorter (4096 < 5000 bytes) while in use");
    assert_string_equal(error.help, "restart with --no-mmap if files may change");
    tkr_error_clear(&error);
    assert_int_equal(truncate("model/weights", 5001), 0);
    assert_int_equal(file_bytes_unchanged(&file, &error), TKR_E_IO_CHANGED);
    assert_string_equal(error.message, "weights: became longer (5001 > 5000 bytes) while in use");
    file_bytes_close(&file);
    folder_close(f);
    unlink("model/weights");
}

/* Files of the kernel claim 4096 bytes and give fewer: as good as a file that is cut while it is read. */
static void test_folder__a_copy_of_a_file_that_changes_is_refused(void **state)
{
    (void)state;
    struct stat info;
    tkr_error error = {0};
    file_bytes file;
    if (stat("/sys/kernel/uevent_seqnum", &info) != 0 || info.st_size == 0)
        skip();
    folder *f = folder_open("/sys/kernel", false, &error);
    assert_int_equal(folder_file(f, "uevent_seqnum", 1 << 20, true, &file, &error), TKR_E_IO_CHANGED);
    assert_string_equal(error.message, "uevent_seqnum: changed while being read");
    assert_null(file.data);
    folder_close(f);
}

static void test_folder__lists_names_sorted(void **state)
{
    (void)state;
    tkr_error error = {0};
    char **names;
    folder *f = folder_open("hub/models--a--b", false, &error);
    uint64_t before = tkr_memory_now();
    assert_string_equal(folder_path(f), "hub/models--a--b");
    assert_int_equal(folder_names(f, &names, 100), 3);
    assert_string_equal(names[0], "blobs");
    assert_string_equal(names[1], "secret");
    assert_string_equal(names[2], "snapshots");
    memory_free(names);
    assert_int_equal(folder_names(f, &names, 2), 2); /* the first two of the alphabet */
    assert_string_equal(names[1], "secret");
    memory_free(names);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        memory_fail_at(nth, 0);
        assert_int_equal(folder_names(f, &names, 100), 0);
        memory_fail_at(0, 0);
        assert_null(names);
    }
    assert_int_equal(tkr_memory_now(), before);
    assert_true(folder_has(f, "secret"));
    assert_false(folder_has(f, "none"));
    folder_close(f);
    f = folder_open("model", false, &error);
    assert_true(folder_has(f, "dangling.json"));
    folder_close(f);
}

static void test_folder__out_of_memory_leaves_nothing_open(void **state)
{
    (void)state;
    int open_before = count_descriptors();
    uint64_t before = tkr_memory_now();
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        tkr_error error = {0};
        file_bytes file = {.descriptor = -1};
        memory_fail_at(nth, 0);
        folder *f = folder_open("model", false, &error);
        done = f && folder_file(f, "config.json", 100, true, &file, &error) == TKR_OK;
        memory_fail_at(0, 0);
        assert_int_equal(error.code, done ? TKR_OK : TKR_E_LIMIT_OOM);
        file_bytes_close(&file);
        folder_close(f);
        assert_int_equal(count_descriptors(), open_before);
        assert_int_equal(tkr_memory_now(), before);
        assert_in_range(nth, 1, 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder__opens_only_what_it_may),
        cmocka_unit_test(test_folder__the_walk_without_openat2_answers_the_same),
        cmocka_unit_test(test_folder__follow_links_lifts_the_rule_for_links_only),
        cmocka_unit_test(test_folder__refuses_what_is_no_folder),
        cmocka_unit_test(test_folder__a_folder_without_permission),
        cmocka_unit_test(test_folder__too_many_open_files_is_an_ordinary_error),
        cmocka_unit_test(test_folder__the_size_limit),
        cmocka_unit_test(test_folder__maps_or_copies),
        cmocka_unit_test(test_folder__a_mapped_file_that_changes_is_noticed),
        cmocka_unit_test(test_folder__a_copy_of_a_file_that_changes_is_refused),
        cmocka_unit_test(test_folder__lists_names_sorted),
        cmocka_unit_test(test_folder__out_of_memory_leaves_nothing_open),
    };
    return cmocka_run_group_tests_name("folder", tests, make_place, remove_place);
}
