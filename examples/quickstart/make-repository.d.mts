export declare function makeRepository(dir: string): Promise<void>
