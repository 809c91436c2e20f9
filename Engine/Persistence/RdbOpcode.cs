namespace OrleansRedis.Engine;

/// <summary>What stands between the keys of an RDB file (rdb.h of Redis).</summary>
internal enum RdbOpcode : byte
{
    /// <summary>In files of clusters: a slot's number, how many keys it has, and how many of them expire.</summary>
    SlotInfo = 244,

    /// <summary>A function library: its code.</summary>
    Function2 = 245,

    /// <summary>A function library as release candidates of 7.0 wrote it.</summary>
    FunctionPreGa = 246,

    /// <summary>A module's data that is no key's.</summary>
    ModuleAux = 247,

    /// <summary>The next key has not been used for so many seconds.</summary>
    Idle = 248,

    /// <summary>The LFU counter of the next key.</summary>
    Frequency = 249,

    /// <summary>A name and a value that say something about the file.</summary>
    Aux = 250,

    /// <summary>How many keys this database has, and how many of them expire.</summary>
    ResizeDb = 251,

    /// <summary>When the next key expires, in Unix ms.</summary>
    ExpireTimeMs = 252,

    /// <summary>When the next key expires, in Unix seconds; before version 3.</summary>
    ExpireTime = 253,

    /// <summary>The keys from here on belong to this database.</summary>
    SelectDb = 254,

    /// <summary>The end, but for the CRC from version 5 on.</summary>
    Eof = 255,
}
