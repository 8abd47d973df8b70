/* In the system's place: every user has a name. For initdb alone, see initdb.rs. */
#include <pwd.h>
#include <stddef.h>
#include <sys/types.h>

static struct passwd entry;

struct passwd *getpwuid(uid_t uid)
{
	entry.pw_name = "postgres";
	entry.pw_passwd = "";
	entry.pw_uid = uid;
	entry.pw_gid = (gid_t)uid;
	entry.pw_dir = "/";
	entry.pw_shell = "/bin/sh";
	return &entry;
}

int getpwuid_r(uid_t uid, struct passwd *to, char *buffer, size_t size, struct passwd **found)
{
	(void)buffer;
	(void)size;
	*to = *getpwuid(uid);
	*found = to;
	return 0;
}
