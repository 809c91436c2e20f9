using System.Runtime.InteropServices;

namespace OrleansRedis.Gateway;

/// <summary>
/// The event loops' system calls (Linux; constants as on x64 and ARM64). Each returns -1 on failure, and then
/// <see cref="Marshal.GetLastSystemError"/> says why. The runtime makes sure that the error number survives the return
/// from native code.
/// </summary>
internal static unsafe partial class Libc
{
    internal const int EpollIn = 1, EpollOut = 4, EpollError = 8, EpollHangUp = 0x10, EpollReadHangUp = 0x2000, EpollEdge = 1 << 31;
    internal const int Add = 1, Delete = 2, Modify = 3;
    internal const int CloseOnExec = 0x80000, NonBlocking = 0x800;
    internal const int NoSignal = 0x4000;
    internal const int ShutdownBoth = 2;
    internal const int Interrupted = 4, TryAgain = 11;

    /// <summary>struct epoll_event is packed on x64, and only there.</summary>
    internal static readonly int EventBytes = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    private static readonly int s_eventDataOffset = EventBytes - 8;

    internal static int EventFlags(byte* at) => *(int*)at;

    internal static int EventDescriptor(byte* at) => *(int*)(at + s_eventDataOffset);

    /// <summary>Adds a descriptor to an epoll set, or removes it, or changes which events are watched for.</summary>
    internal static int Control(int set, int operation, int descriptor, int flags)
    {
        byte* change = stackalloc byte[16];
        *(int*)change = flags;
        *(long*)(change + s_eventDataOffset) = descriptor;
        return EpollControl(set, operation, descriptor, change);
    }

    /// <summary>How long the calling thread has run in all, in its own code and in the kernel on its behalf.</summary>
    internal static (double User, double System) ThreadTimesMs()
    {
        long* usage = stackalloc long[18]; // struct rusage: two timevals, and 14 counts
        const int Thread = 1;
        return ResourceUsage(Thread, usage) < 0 ? default : ((usage[0] * 1e3) + (usage[1] / 1e3), (usage[2] * 1e3) + (usage[3] / 1e3));
    }

    /// <summary>
    /// How many files the process may have open; <see cref="long.MaxValue"/> if there is no limit, or none is known.
    /// </summary>
    internal static long OpenFileLimit()
    {
        const int OpenFiles = 7;
        // struct rlimit: the limit in force, and the one up to which it may be raised, which the runtime has already
        // done.
        ulong* limits = stackalloc ulong[2];
        return OperatingSystem.IsLinux() && ResourceLimit(OpenFiles, limits) == 0 && limits[0] < long.MaxValue
            ? (long)limits[0]
            : long.MaxValue;
    }

    [LibraryImport("libc", EntryPoint = "getrlimit")]
    private static partial int ResourceLimit(int resource, ulong* limits);

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int ResourceUsage(int who, long* usage);

    [LibraryImport("libc", EntryPoint = "epoll_create1")]
    internal static partial int EpollCreate(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl")]
    private static partial int EpollControl(int set, int operation, int descriptor, byte* change);

    [LibraryImport("libc", EntryPoint = "epoll_wait")]
    internal static partial int EpollWait(int set, byte* events, int maxEvents, int timeoutMs);

    [LibraryImport("libc", EntryPoint = "eventfd")]
    internal static partial int EventDescriptor(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "recv")]
    internal static partial nint Receive(int socket, byte* buffer, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "send")]
    internal static partial nint Send(int socket, byte* buffer, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "shutdown")]
    internal static partial int Shutdown(int socket, int how);

    [LibraryImport("libc", EntryPoint = "write")]
    internal static partial nint Write(int descriptor, byte* buffer, nint length);

    [LibraryImport("libc", EntryPoint = "close")]
    internal static partial int Close(int descriptor);
}
