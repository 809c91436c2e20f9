using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The allocator of one Lua state (lua_Alloc), with a limit. Small blocks come from lists of free blocks of one size,
/// which costs less than malloc does; they go back to the system only with the state.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LuaMemory
{
    private const int Granule = 16;
    private const int LargestSmall = 256;
    private const int ChunkBytes = 32 * 1024;

    /// <summary>A larger block may take the system a while, so the collector must not wait for it.</summary>
    private const nuint LargestQuick = 64 * 1024;

    private fixed long _free[(LargestSmall / Granule) + 1]; // the first free block of each size, each with the next one
    private byte* _chunks;      // the chunks that small blocks are cut from, each with the next one in its first bytes
    private byte* _fresh;
    private nuint _freshBytes;

    /// <summary>Bytes in use.</summary>
    public long Used;

    /// <summary>How many bytes may be in use.</summary>
    public long Most;

    /// <summary>
    /// Above 0 while managed code calls Lua's functions: the limit then does not apply, because Lua would jump out of
    /// them, over the managed frames. It applies again to the next allocation by Lua code.
    /// </summary>
    public int Unlimited;

    /// <summary>A new allocator, to be freed with <see cref="Free"/>.</summary>
    public static LuaMemory* Create(long most)
    {
        var memory = (LuaMemory*)NativeMemory.AllocZeroed((nuint)sizeof(LuaMemory));
        memory->Most = most;
        return memory;
    }

    /// <summary>Frees everything; the Lua state has been closed.</summary>
    public static void Free(LuaMemory* memory)
    {
        byte* chunk = memory->_chunks;
        while (chunk != null)
        {
            byte* next = *(byte**)chunk;
            NativeMemory.Free(chunk);
            chunk = next;
        }
        NativeMemory.Free(memory);
    }

    public static nint Allocator => (nint)(delegate* unmanaged[Cdecl]<void*, void*, nuint, nuint, void*>)&Allocate;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* Allocate(void* data, void* block, nuint former, nuint size)
    {
        var memory = (LuaMemory*)data;
        if (block == null) former = 0; // it is then the kind of object
        if (size == 0)
        {
            memory->Used -= (long)former;
            memory->Release(block, former);
            return null;
        }
        long used = memory->Used + (long)size - (long)former;
        if (size > former && used > memory->Most && memory->Unlimited == 0) return null;
        void* result;
        if (size <= LargestSmall && former <= LargestSmall)
        {
            if (former != 0 && ClassOf(former) == ClassOf(size))
            {
                memory->Used = used;
                return block;
            }
            result = memory->Take(ClassOf(size));
        }
        else if (size > LargestSmall && former > LargestSmall)
        {
            result = size > LargestQuick || former > LargestQuick ? SlowlyResize(block, size) : Resize(block, size);
            if (result != null) memory->Used = used;
            return result;
        }
        else
        {
            result = size <= LargestSmall ? memory->Take(ClassOf(size)) : size > LargestQuick ? SlowlyResize(null, size) : Resize(null, size);
        }
        if (result == null) return null;
        memory->Used = used;
        if (former == 0) return result;
        Unsafe.CopyBlockUnaligned(result, block, (uint)Math.Min(former, size));
        memory->Release(block, former);
        return result;
    }

    private static nuint ClassOf(nuint size) => (size + Granule - 1) / Granule;

    private void* Take(nuint number)
    {
        long block = _free[number];
        if (block != 0)
        {
            _free[number] = *(long*)block;
            return (void*)block;
        }
        nuint bytes = number * Granule;
        if (_freshBytes < bytes)
        {
            byte* chunk = (byte*)SlowlyResize(null, ChunkBytes);
            if (chunk == null) return null;
            *(byte**)chunk = _chunks;
            _chunks = chunk;
            _fresh = chunk + Granule;
            _freshBytes = ChunkBytes - Granule;
        }
        byte* fresh = _fresh;
        _fresh += bytes;
        _freshBytes -= bytes;
        return fresh;
    }

    private void Release(void* block, nuint size)
    {
        if (block == null) return;
        if (size <= LargestSmall)
        {
            nuint number = ClassOf(size);
            *(long*)block = _free[number];
            _free[number] = (long)block;
        }
        else if (size > LargestQuick)
        {
            NativeMemory.Free(block);
        }
        else
        {
            QuicklyFree(block);
        }
    }

    private static void* SlowlyResize(void* block, nuint size)
    {
        try
        {
            return NativeMemory.Realloc(block, size);
        }
        catch (OutOfMemoryException)
        {
            return null; // which Lua makes an error of its own
        }
    }

    // As NativeMemory does it, but for a few ns instead of 15.
    [DllImport("libc", EntryPoint = "realloc"), SuppressGCTransition]
    private static extern void* Resize(void* block, nuint size);

    [DllImport("libc", EntryPoint = "free"), SuppressGCTransition]
    private static extern void QuicklyFree(void* block);
}
